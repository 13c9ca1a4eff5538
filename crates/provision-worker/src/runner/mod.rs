//! Runs one operation: goes forward or back along its steps, and writes down the outcome. Claims, slots and the lease are
//! [`runtime::worker`]'s.

mod drive;
mod report;
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use domain::operation::Slot;
use runtime::worker::{Ended, Handler, Place, SlotLimit, WorkerSlots};
use store::{Db, operations::Claim};
use tokio_util::sync::CancellationToken;

use crate::saga::{Services, Steps, Work};
use drive::Drive;
pub use drive::Outcome;
pub use rows::{OperationRows, Shares};

/// Most creates and deletes that are claimed in one worker: each that waits is a long poll and a lease to renew.
const MOST_UNDER_WAY: usize = 256;

/// What a worker works on at once: so many creates and deletes, and so many operations on backups. What moves backups
/// takes hours: it has slots of its own, so that a create does not wait for it.
pub fn slots(short: usize, long: usize) -> WorkerSlots<Slot> {
    WorkerSlots::new([
        (Slot::Short, SlotLimit { at_once: short, under_way: MOST_UNDER_WAY }),
        (Slot::Long, SlotLimit { at_once: long, under_way: long }),
    ])
}

/// Runs operations that a worker has claimed.
#[derive(Clone)]
pub struct Runner {
    rows: OperationRows,
    services: Services,
    steps: Steps,
}

impl Runner {
    /// With these steps.
    pub fn new(db: Db, services: Services, steps: Steps, shares: Shares) -> Self {
        let rows = OperationRows::new(db, services.engines.nodes(), shares);
        Self { rows, services, steps }
    }

    async fn drive(&self, claim: &Claim, place: &Place, shutdown: &CancellationToken) -> Ended<Outcome> {
        let db = &self.rows.db;
        let read = drive::read(|| store::instances::get_for_work(db, claim.operation.instance_id)).await;
        let instance = match read {
            Ok(Some(instance)) => instance,
            Ok(None) => {
                tracing::error!("the operation's instance is deleted; nothing is done");
                return Ended::LeaseLost;
            }
            Err(error) => return drive::leave(db, &claim.lease, &error).await,
        };
        let work = Work {
            db: db.clone(),
            lease: claim.lease.clone(),
            instance,
            backup: claim.operation.backup_id,
            services: self.services.clone(),
        };
        Drive { work: &work, claim, place, steps: &self.steps, shutdown }.run().await
    }
}

#[async_trait]
impl Handler for Runner {
    type Rows = OperationRows;
    type Outcome = Outcome;

    fn rows(&self) -> &OperationRows {
        &self.rows
    }

    async fn work(&self, claim: &Claim, place: &Place, shutdown: &CancellationToken) -> Ended<Outcome> {
        report::started(claim);
        self.drive(claim, place, shutdown).await
    }

    fn span(&self, claim: &Claim) -> tracing::Span {
        let operation = &claim.operation;
        runtime::logging::operation_span(&operation.id, &operation.instance_id, &operation.customer_id)
    }

    fn report(&self, claim: &Claim, ended: &Ended<Outcome>, took: Duration) {
        report::ended(claim, ended, took);
    }
}
