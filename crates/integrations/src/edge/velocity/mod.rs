//! A Velocity proxy: players of Minecraft connect to it, and it knows each server by the name that they typed.
//!
//! A server is registered under one name, its full name in DNS, and under that name it is unregistered. The bridge has no place
//! for a mark: what has a name that only this installation gives, one label below our domain, is ours, and nothing else is
//! looked at. An installation that shares a proxy therefore needs a domain of its own.
//!
//! Not every bridge tells where a name leads. An entry whose target is not told counts as right when its name is there, since
//! nothing contradicts it; publishing such a server registers it anew, because only that makes it certain. A bridge that
//! tells addresses has to tell them as they were registered: a name that it has resolved is another target.

mod api;
mod backend;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    clock::Clock,
    edge::{DnsName, DnsSettings, Owner, VelocityBridge},
};

use super::{Address, Edge, EdgeError, Entry, Observed, Publication};
use api::{Api, Registered};
use backend::{Backend, target};

/// What this part is called.
const PART: &str = "velocity";

/// The proxy.
#[derive(Debug)]
pub struct VelocityProxy {
    api: Api,
    dns: DnsSettings,
}

impl VelocityProxy {
    /// The proxy behind a bridge, for servers that are named like this.
    pub fn new(bridge: &VelocityBridge, dns: &DnsSettings, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        Ok(Self { api: Api::new(bridge, clock)?, dns: dns.clone() })
    }

    /// What the proxy should know of a server; nothing unless its players come through the proxy.
    fn backend(&self, publication: &Publication) -> Result<Option<Backend>, EdgeError> {
        if !publication.is_minecraft() {
            return Ok(None);
        }
        let (address, port) = (publication.node_host.clone(), publication.port.port);
        Ok(Some(Backend { name: self.dns.name(publication)?, address, port }))
    }

    /// Where the proxy says that a name leads: nothing if it does not know the name, and an empty text if it does not say.
    async fn led_to(&self, name: &DnsName) -> Result<Option<String>, EdgeError> {
        let listed = self.api.list().await?;
        Ok(listed.into_iter().find(|it| it.is_called(name)).map(|it| it.target()))
    }

    /// Registers the server where another address, or one that is not told, may be registered under its name.
    async fn register(&self, wanted: &Backend) -> Result<(), EdgeError> {
        if let Registered::Taken = self.api.register(wanted).await? {
            // A name keeps its address until it is unregistered. Whoever plays stays connected.
            self.api.unregister(&wanted.name).await?;
            // Taken once more: somebody else was quicker, and the list will tell.
            self.api.register(wanted).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Edge for VelocityProxy {
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError> {
        let address = self.dns.address(publication)?;
        let Some(wanted) = self.backend(publication)? else { return Ok(address) };
        let right = target(&wanted.address, wanted.port);
        match self.led_to(&wanted.name).await? {
            Some(told) if told == right => return Ok(address),
            Some(told) if !told.is_empty() => self.api.unregister(&wanted.name).await?,
            _ => {}
        }
        self.register(&wanted).await?;
        match self.led_to(&wanted.name).await? {
            Some(told) if told.is_empty() || told == right => Ok(address),
            told => {
                let reason = match told {
                    None => "the proxy does not list it".to_owned(),
                    Some(told) => format!("the proxy leads it to {told} instead of {right}"),
                };
                Err(EdgeError::NotSeen { name: wanted.name.to_string(), reason })
            }
        }
    }

    async fn withdraw(&self, publication: &Publication) -> Result<(), EdgeError> {
        match self.backend(publication)? {
            Some(backend) => self.api.unregister(&backend.name).await,
            None => Ok(()),
        }
    }

    fn desired(&self, publication: &Publication) -> Result<Vec<Entry>, EdgeError> {
        let entry = |it: Backend| Entry {
            part: PART.to_owned(),
            name: it.name.to_string(),
            target: target(&it.address, it.port),
        };
        Ok(self.backend(publication)?.map(entry).into_iter().collect())
    }

    async fn observe(&self) -> Result<Vec<Observed>, EdgeError> {
        let seen = self.api.list().await?.into_iter().filter_map(|it| {
            let name = it.dns_name().filter(|name| name.is_child_of(&self.dns.domain))?;
            let entry = Entry { part: PART.to_owned(), name: name.to_string(), target: it.target() };
            Some(Observed { entry, owner: Owner::Unmarked })
        });
        Ok(seen.collect())
    }

    fn part(&self) -> &'static str {
        PART
    }
}
