//! Routes that Traefik should have taken up and has not. It fetches them itself, so that there is nothing to repair here.

use chrono::TimeDelta;

use super::{
    Finding, Level, Look, Rule, Source,
    rules::{Living, finding},
};
use crate::ids::InstanceId;

/// How long ago a server must have changed: many times what Traefik pauses between two looks at the routes.
const SETTLED: TimeDelta = TimeDelta::minutes(1);

/// A route that Traefik is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// To which server.
    pub instance: InstanceId,
    /// What its router is called.
    pub router: String,
    /// What Traefik says of the router: `enabled`, `disabled`, `warning`; `None` if it has none.
    pub status: Option<String>,
}

/// Every route that does not lead to its server.
pub(super) fn find(look: &Look, living: &Living<'_>) -> Vec<Finding> {
    if look.unseen.contains_key(&Source::Routes) {
        return Vec::new();
    }
    look.routes.iter().filter_map(|route| missing(look, living, route)).collect()
}

fn missing(look: &Look, living: &Living<'_>, route: &RouteFacts) -> Option<Finding> {
    let instance = living.get(&route.instance)?;
    let settled = instance.active.is_none() && instance.changed_at + SETTLED < look.now;
    let (observed, proposal) = match route.status.as_deref() {
        None => (
            "none".to_owned(),
            "see in Traefik's log whether its HTTP provider reaches /edge/traefik and takes what it gets",
        ),
        Some("disabled") => (
            "a router that Traefik has disabled".to_owned(),
            "see in Traefik's dashboard what is wrong with the router, such as an entry point that is not there",
        ),
        Some(_) => return None,
    };
    settled.then(|| Finding {
        source: Source::Routes,
        subject: route.router.clone(),
        desired: format!("router {}", route.router),
        proposal: Some(proposal.to_owned()),
        ..finding(Rule::RouteMissing, Level::Two, instance, observed)
    })
}
