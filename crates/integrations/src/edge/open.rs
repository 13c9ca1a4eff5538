//! The edge that is configured.

use std::sync::Arc;

use domain::{clock::Clock, edge::EdgeSettings};

use super::{CloudflareDns, CompositeEdge, DirectEdge, Edge, EdgeError};

/// The configured edge: a server's own port first, and its name before that.
pub fn open(settings: &EdgeSettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Edge>, EdgeError> {
    let direct = Arc::new(DirectEdge);
    Ok(match &settings.named {
        None => direct,
        Some(named) => {
            Arc::new(CompositeEdge::new(direct).behind(Arc::new(CloudflareDns::new(named, clock)?)))
        }
    })
}
