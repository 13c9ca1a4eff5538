//! Operations as rows that a worker leases.

use async_trait::async_trait;
use domain::{
    ids::{NodeId, OperationId},
    operation::Slot,
};
use runtime::worker::{Backlog, LeasedRows};
use store::{
    Db, StoreError,
    operations::{self, Claim},
};

/// The operations on instances of the nodes that this worker has an engine for. A job of another node's is left to
/// the worker that has it: every sweep enqueues it again until that one has claimed it.
#[derive(Clone, Debug)]
pub struct OperationRows {
    pub(super) db: Db,
    nodes: Vec<NodeId>,
    shares: Shares,
}

/// Operations of one customer that may be under way at once, those that only wait included.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Creates and deletes.
    pub short: i64,
    /// Operations on backups.
    pub long: i64,
}

impl OperationRows {
    /// Those of this database and these nodes.
    pub fn new(db: Db, nodes: Vec<NodeId>, shares: Shares) -> Self {
        Self { db, nodes, shares }
    }
}

#[async_trait]
impl LeasedRows for OperationRows {
    type Id = OperationId;
    type Slot = Slot;
    type Claim = Claim;

    const NOUN: &'static str = "operation";

    async fn slot(&self, id: OperationId) -> Result<Option<Slot>, StoreError> {
        let kind = operations::kind(&self.db, id).await?;
        Ok(kind.map(|kind| kind.saga().slot))
    }

    async fn next(&self, slot: Slot) -> Result<Option<OperationId>, StoreError> {
        let share = match slot {
            Slot::Short => self.shares.short,
            Slot::Long => self.shares.long,
        };
        operations::next(&self.db, slot, &self.nodes, share).await
    }

    async fn claim(&self, id: OperationId, owner: &str) -> Result<Option<Claim>, StoreError> {
        operations::claim(&self.db, id, owner, &self.nodes).await
    }

    async fn renew(&self, claim: &Claim) -> Result<(), StoreError> {
        operations::renew(&self.db, &claim.lease).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        operations::release(&self.db, &claim.lease).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        operations::backlog(&self.db).await
    }

    async fn take_unclaimed(&self, limit: i64) -> Result<Vec<OperationId>, StoreError> {
        operations::take_unclaimed(&self.db, limit).await
    }
}
