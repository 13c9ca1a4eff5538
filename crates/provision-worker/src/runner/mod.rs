//! Runs one operation: claims it, keeps its lease, goes forward or back along its steps, writes down the outcome.

mod drive;
mod lease;

use std::{sync::Arc, time::Duration};

use domain::{ids::OperationId, operation::OperationKind};
use store::{
    Db, StoreError,
    operations::{self, Claim},
};
use tokio_util::sync::CancellationToken;

use crate::saga::{Outside, Steps, Work};
use drive::Drive;
pub use drive::Ended;

/// How long a step that is under way at shutdown may go on before it is left for the next worker to repeat.
const STEP_GRACE: Duration = Duration::from_secs(5);

/// Runs operations, one at a time or several.
#[derive(Clone)]
pub struct Runner {
    db: Db,
    outside: Outside,
    steps: Steps,
    owner: Arc<str>,
}

impl Runner {
    /// `owner` names this process in leases and must be unique per start.
    pub fn new(db: Db, outside: Outside, steps: Steps, owner: &str) -> Self {
        Self { db, outside, steps, owner: owner.into() }
    }

    /// What the operation does.
    pub async fn kind(&self, id: OperationId) -> Result<Option<OperationKind>, StoreError> {
        operations::kind(&self.db, id).await
    }

    /// Claims the operation, if it is due and nobody's.
    pub async fn claim(&self, id: OperationId) -> Result<Option<Claim>, StoreError> {
        operations::claim(&self.db, id, &self.owner).await
    }

    /// Works on a claimed operation until it has ended, the lease is lost or the shutdown comes. The outcome is in
    /// the rows.
    pub async fn run(&self, claim: Claim, shutdown: &CancellationToken) {
        let operation = &claim.operation;
        let span =
            runtime::logging::operation_span(&operation.id, &operation.instance_id, &operation.customer_id);
        tracing::Instrument::instrument(self.run_claimed(&claim, shutdown), span).await;
    }

    async fn run_claimed(&self, claim: &Claim, shutdown: &CancellationToken) {
        let (kind, lease) = (claim.operation.kind, &claim.lease);
        let began = tokio::time::Instant::now();
        tracing::info!(%kind, term = lease.term, interruptions = claim.operation.interruptions, "working");
        let ended = tokio::select! {
            ended = self.drive(claim, shutdown) => ended,
            () = lease::keep(&self.db, lease) => Ended::LeaseLost,
            () = grace(shutdown) => Ended::Interrupted,
        };
        if matches!(ended, Ended::Interrupted)
            && let Err(error) = operations::release(&self.db, lease).await
        {
            tracing::warn!(error = ?error, "the lease was not released; it will run out");
        }
        let outcome = ended.as_str();
        metrics::counter!("zlh_operations_total", "kind" => kind.as_str(), "outcome" => outcome).increment(1);
        metrics::histogram!("zlh_operation_seconds", "kind" => kind.as_str(), "outcome" => outcome)
            .record(began.elapsed().as_secs_f64());
        tracing::info!(%kind, outcome, seconds = began.elapsed().as_secs_f32(), "left");
    }

    async fn drive(&self, claim: &Claim, shutdown: &CancellationToken) -> Ended {
        let read =
            drive::read(|| store::instances::get_for_work(&self.db, claim.operation.instance_id)).await;
        let instance = match read {
            Ok(Some(instance)) => instance,
            Ok(None) => {
                tracing::error!("the operation's instance is deleted");
                return Ended::LeaseLost;
            }
            Err(error) => return drive::leave(&self.db, &claim.lease, &error).await,
        };
        let work = Work {
            db: self.db.clone(),
            lease: claim.lease.clone(),
            instance,
            backup: claim.operation.backup_id,
            outside: self.outside.clone(),
        };
        Drive { work: &work, claim, steps: &self.steps, shutdown }.run().await
    }
}

async fn grace(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(STEP_GRACE).await;
}
