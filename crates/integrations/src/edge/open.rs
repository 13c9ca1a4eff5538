//! The edge that is configured.

use std::sync::Arc;

use domain::{clock::Clock, edge::EdgeSettings};

use super::{
    CloudflareDns, CompositeEdge, DirectEdge, Edge, EdgeError, technitium::TechnitiumDns,
    velocity::VelocityProxy,
};

/// The configured edge: a server's own port first, then the proxy before it, its name inside, and its name outside.
pub fn open(settings: &EdgeSettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Edge>, EdgeError> {
    let direct = Arc::new(DirectEdge);
    let Some(named) = &settings.named else { return Ok(direct) };
    let mut edge = CompositeEdge::new(direct);
    if let Some(bridge) = &named.velocity {
        edge = edge.behind(Arc::new(VelocityProxy::new(bridge, &named.dns, clock.clone())?));
    }
    if let Some(zone) = &named.technitium {
        let part = TechnitiumDns::new(zone, &named.dns, &named.installation, clock.clone())?;
        edge = edge.behind(Arc::new(part));
    }
    Ok(Arc::new(edge.behind(Arc::new(CloudflareDns::new(named, clock)?))))
}
