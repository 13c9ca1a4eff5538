//! The lease: who works on an operation. Claimed by compare-and-set, timed by the database's clock.

use domain::{
    ids::{NodeId, OperationId},
    lease::LEASE_SECONDS,
    operation::{Operation, Slot},
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

/// Which operation is to be worked on next in a slot, on these nodes: of those that are due and that nobody holds, one of
/// the customer with the fewest under way, and among such customers of the one that was served longest ago; its oldest.
/// A customer with `per_customer` under way waits. `None` if nobody is to be served.
///
/// What is under way is counted as of now: two workers may see the same, and then [`claim`] decides.
pub async fn next(
    db: &Db,
    slot: Slot,
    nodes: &[NodeId],
    per_customer: i64,
) -> Result<Option<OperationId>, StoreError> {
    let nodes = nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    let id = sqlx::query_scalar!(
        "WITH unfinished AS (
             SELECT o.id, o.customer_id, o.instance_id, o.run_after,
                    o.lease_expires_at IS NOT NULL AND o.lease_expires_at >= clock_timestamp() AS held
             FROM operations o WHERE o.state IN ('queued', 'running', 'undoing') AND o.kind = ANY($1)
         ), held AS (
             SELECT customer_id, count(*) AS count FROM unfinished WHERE held GROUP BY customer_id
         )
         SELECT u.id FROM unfinished u
         JOIN instances i ON i.id = u.instance_id
         LEFT JOIN held h ON h.customer_id = u.customer_id
         LEFT JOIN operation_turns t ON t.customer_id = u.customer_id AND t.slot = $2
         WHERE NOT u.held AND u.run_after <= clock_timestamp() AND i.node_id = ANY($3)
           AND COALESCE(h.count, 0) < $4
         ORDER BY COALESCE(h.count, 0), t.served_at NULLS FIRST, u.run_after, u.id LIMIT 1",
        &slot.kinds(),
        slot.as_str(),
        &nodes,
        per_customer,
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(id.map(OperationId))
}

/// Claims an operation that is due, that nobody holds, and whose instance is on one of these nodes. `None` if it is not
/// so. Taking it over from a worker that did not let go counts as an interruption. Its customer has been served.
pub async fn claim(
    db: &Db,
    id: OperationId,
    owner: &str,
    nodes: &[NodeId],
) -> Result<Option<Claim>, StoreError> {
    let nodes = nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    let row = sqlx::query!(
        r#"WITH claimed AS (
             UPDATE operations SET
                 lease_owner = $2, lease_term = lease_term + 1,
                 lease_expires_at = clock_timestamp() + make_interval(secs => $3),
                 state = CASE state WHEN 'queued' THEN 'running' ELSE state END,
                 interruptions = interruptions + CASE WHEN lease_expires_at IS NULL THEN 0 ELSE 1 END,
                 started_at = COALESCE(started_at, clock_timestamp())
             WHERE id = $1 AND state IN ('queued', 'running', 'undoing') AND run_after <= clock_timestamp()
               AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
               AND (SELECT i.node_id FROM instances i WHERE i.id = operations.instance_id) = ANY($4)
             RETURNING *
         ), turn AS (
             INSERT INTO operation_turns (customer_id, slot, served_at)
             SELECT customer_id, CASE WHEN kind = ANY($5) THEN 'short' ELSE 'long' END, clock_timestamp() FROM claimed
             ON CONFLICT (customer_id, slot) DO UPDATE SET served_at = EXCLUDED.served_at
         )
         SELECT c.id AS "id!", c.instance_id AS "instance_id!", c.customer_id AS "customer_id!", c.kind AS "kind!",
             c.backup_id, c.state AS "state!", c.step, c.step_detail, c.progress AS "progress!", c.failure_code,
             c.failure_message, c.interruptions AS "interruptions!", c.created_at AS "created_at!", c.started_at,
             c.finished_at, c.cancel_requested_at, c.next_operation_id, c.lease_term AS "lease_term!", c.failed_attempts AS "failed_attempts!", i.hostname
         FROM claimed c JOIN instances i ON i.id = c.instance_id"#,
        id.0,
        owner,
        f64::from(LEASE_SECONDS),
        &nodes,
        &Slot::Short.kinds(),
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
        cancel_requested_at: row.cancel_requested_at,
        next_operation_id: row.next_operation_id,
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
