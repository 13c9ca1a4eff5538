//! Repairs as rows that a worker leases.

use async_trait::async_trait;
use domain::ids::RepairId;
use runtime::worker::{Backlog, LeasedRows};
use store::{
    Db, StoreError,
    repairs::{self, Claim},
};

/// Repairs as rows that a worker leases.
#[derive(Clone, Debug)]
pub struct Rows(pub(crate) Db);

#[async_trait]
impl LeasedRows for Rows {
    type Id = RepairId;
    type Slot = ();
    type Claim = Claim;
    const NOUN: &'static str = "repair";

    async fn slot(&self, id: RepairId) -> Result<Option<()>, StoreError> {
        Ok(repairs::exists(&self.0, id).await?.then_some(()))
    }

    async fn next(&self, (): ()) -> Result<Option<RepairId>, StoreError> {
        repairs::next(&self.0).await
    }

    async fn claim(&self, id: RepairId, owner: &str) -> Result<Option<Claim>, StoreError> {
        repairs::claim(&self.0, id, owner).await
    }

    async fn renew(&self, claim: &Claim) -> Result<(), StoreError> {
        repairs::renew(&self.0, claim).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        repairs::release(&self.0, claim).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        repairs::backlog(&self.0).await
    }

    async fn take_unclaimed(&self, limit: i64) -> Result<Vec<RepairId>, StoreError> {
        repairs::take_unclaimed(&self.0, limit).await
    }
}
