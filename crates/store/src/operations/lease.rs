//! The lease: who works on an operation. Claimed by compare-and-set, timed by the database's clock.

use domain::{
    ids::{NodeId, OperationId},
    lease::LEASE_SECONDS,
    operation::Operation,
};

use super::read::OperationRow;
use crate::{Db, StoreError};

/// After which time an operation that could not be read may be claimed again.
const UNREADABLE_PAUSE_SECONDS: f64 = 60.0;

/// Proof of a claim. Every write of a worker names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// On what.
    pub operation: OperationId,
    /// Increases with every claim; an older term writes nothing.
    pub term: i64,
}

/// An operation that this worker now holds.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The proof.
    pub lease: Lease,
    /// As it is now.
    pub operation: Operation,
    /// Failed attempts so far, of an operation that only goes forward.
    pub failed_attempts: i32,
    /// The instance's hostname: what people call it in the log.
    pub hostname: String,
}

/// Claims an operation that is due, that nobody holds, and whose instance is on one of these nodes. `None` if it is not
/// so. Taking it over from a worker that did not let go counts as an interruption.
pub async fn claim(
    db: &Db,
    id: OperationId,
    owner: &str,
    nodes: &[NodeId],
) -> Result<Option<Claim>, StoreError> {
    let nodes = nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    let row = sqlx::query!(
        "UPDATE operations SET
             lease_owner = $2, lease_term = lease_term + 1,
             lease_expires_at = clock_timestamp() + make_interval(secs => $3),
             state = CASE state WHEN 'queued' THEN 'running' ELSE state END,
             interruptions = interruptions + CASE WHEN lease_expires_at IS NULL THEN 0 ELSE 1 END,
             started_at = COALESCE(started_at, clock_timestamp())
         WHERE id = $1 AND state IN ('queued', 'running', 'undoing') AND run_after <= clock_timestamp()
           AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
           AND (SELECT i.node_id FROM instances i WHERE i.id = operations.instance_id) = ANY($4)
         RETURNING id, instance_id, customer_id, kind, backup_id, state, step, step_detail, progress, failure_code,
             failure_message, interruptions, created_at, started_at, finished_at, lease_term, failed_attempts,
             (SELECT i.hostname FROM instances i WHERE i.id = operations.instance_id) AS \"hostname!\"",
        id.0,
        owner,
        f64::from(LEASE_SECONDS),
        &nodes,
    )
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let lease = Lease { operation: id, term: row.lease_term };
    let operation = OperationRow {
        id: row.id,
        instance_id: row.instance_id,
        customer_id: row.customer_id,
        kind: row.kind,
        backup_id: row.backup_id,
        state: row.state,
        step: row.step,
        step_detail: row.step_detail,
        progress: row.progress,
        failure_code: row.failure_code,
        failure_message: row.failure_message,
        interruptions: row.interruptions,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
    };
    match operation.try_into() {
        Ok(operation) => {
            let (failed_attempts, hostname) = (row.failed_attempts, row.hostname);
            Ok(Some(Claim { lease, operation, failed_attempts, hostname }))
        }
        Err(error) => {
            leave(db, &lease).await?;
            Err(error)
        }
    }
}

/// Extends the lease.
pub async fn renew(db: &Db, lease: &Lease) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operations SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         WHERE id = $1 AND lease_term = $2 AND state IN ('running', 'undoing') AND lease_owner IS NOT NULL",
        lease.operation.0,
        lease.term,
        f64::from(LEASE_SECONDS),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Lets go without having ended, for a worker that shuts down: another may go on at once, and it does not count as
/// an interruption.
pub async fn release(db: &Db, lease: &Lease) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operations SET lease_owner = NULL, lease_expires_at = NULL, enqueued_at = NULL
         WHERE id = $1 AND lease_term = $2 AND state IN ('running', 'undoing')",
        lease.operation.0,
        lease.term,
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Lets go of an operation that this worker cannot read, for one that can: nobody claims it for a minute, and it does not
/// count as an interruption.
pub async fn leave(db: &Db, lease: &Lease) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operations SET lease_owner = NULL, lease_expires_at = NULL, enqueued_at = NULL,
                run_after = clock_timestamp() + make_interval(secs => $3)
         WHERE id = $1 AND lease_term = $2",
        lease.operation.0,
        lease.term,
        UNREADABLE_PAUSE_SECONDS,
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// One row was written under the lease, or it is another's.
pub(crate) fn held(rows: u64) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
}
