//! The routes that Traefik is given, and what it has made of them.

use std::sync::Arc;

use anyhow::Context as _;
use domain::{clock::Clock, drift::RouteFacts};
use integrations::edge::{EdgeError, TraefikApi};
use store::{Db, StoreError, instances};

use crate::config::ControllerSection;

/// The service of DNS whose servers Velocity is in front of.
const MINECRAFT: &str = "minecraft";

/// A Traefik that is looked at.
#[derive(Debug)]
pub struct Routes {
    api: TraefikApi,
    minecraft: bool,
    workspaces: bool,
}

impl Routes {
    /// The one that is configured, if one is.
    pub fn open(section: &ControllerSection, clock: Arc<dyn Clock>) -> anyhow::Result<Option<Self>> {
        if section.traefik_api_url.is_empty() {
            return Ok(None);
        }
        let api = TraefikApi::new(&section.traefik_api_url, clock).context("controller.traefik_api_url")?;
        let (minecraft, workspaces) = (section.traefik_minecraft, section.traefik_workspaces);
        Ok(Some(Self { api, minecraft, workspaces }))
    }

    /// Every route that `/edge/traefik` gives, with its status. The rows are read first: what Traefik has by then it was given.
    pub(crate) async fn look(&self, db: &Db) -> Result<Result<Vec<RouteFacts>, EdgeError>, StoreError> {
        let ports = instances::port_routes(db, (!self.minecraft).then_some(MINECRAFT)).await?;
        // Their domain is not part of a router's name.
        let hosts = if self.workspaces { instances::host_routes(db, "").await? } else { Vec::new() };
        let wanted = ports.iter().map(|it| (it.instance, it.router()));
        let wanted = wanted.chain(hosts.iter().map(|it| (it.instance, it.router())));
        Ok(self.api.routers().await.map(|mut seen| {
            let facts = wanted.map(|(instance, router)| {
                let status = seen.remove(&router);
                RouteFacts { instance, router, status }
            });
            facts.collect()
        }))
    }
}
