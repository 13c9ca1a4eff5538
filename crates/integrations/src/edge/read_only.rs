//! An edge that changes nothing.

use async_trait::async_trait;

use super::{Address, Edge, EdgeError, Publication};

/// Refuses everything: an edge has no looks yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyEdge;

#[async_trait]
impl Edge for ReadOnlyEdge {
    async fn publish(&self, _: &Publication) -> Result<Address, EdgeError> {
        Err(EdgeError::ReadOnly("publish"))
    }

    async fn withdraw(&self, _: &Publication) -> Result<(), EdgeError> {
        Err(EdgeError::ReadOnly("withdraw"))
    }
}
