//! An edge that can be looked at and not changed.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Address, Edge, EdgeError, Entry, Observed, Publication, Seen};

/// Passes looks on and refuses everything else.
#[derive(Clone, Debug)]
pub struct ReadOnlyEdge(pub Arc<dyn Edge>);

#[async_trait]
impl Edge for ReadOnlyEdge {
    async fn publish(&self, _: &Publication) -> Result<Address, EdgeError> {
        Err(EdgeError::ReadOnly("publish"))
    }

    async fn withdraw(&self, _: &Publication) -> Result<(), EdgeError> {
        Err(EdgeError::ReadOnly("withdraw"))
    }

    fn desired(&self, publication: &Publication) -> Result<Vec<Entry>, EdgeError> {
        self.0.desired(publication)
    }

    async fn observe(&self) -> Result<Vec<Observed>, EdgeError> {
        self.0.observe().await
    }

    fn part(&self) -> &'static str {
        self.0.part()
    }

    async fn observe_parts(&self) -> Seen {
        self.0.observe_parts().await
    }
}
