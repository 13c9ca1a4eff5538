//! The journal: every step is written down before it runs, and again when it ended.

use domain::{
    operation::{Failure, OperationKind, StepName},
    text::foreign,
};

use super::lease::{Lease, held};
use crate::{Db, StoreError};

/// Writes down that a step begins. From here on its undo is owed.
pub async fn begin_step(
    db: &Db,
    lease: &Lease,
    kind: OperationKind,
    step: StepName,
) -> Result<(), StoreError> {
    let ordinal = kind.saga().position(step).unwrap_or(0);
    let done = sqlx::query!(
        "WITH held AS (
             UPDATE operations SET step = $3, step_detail = NULL, progress = $5
             WHERE id = $1 AND lease_term = $2 AND state = 'running' RETURNING id
         )
         INSERT INTO operation_steps (operation_id, name, ordinal, state, lease_term)
         SELECT id, $3, $4, 'applying', $2 FROM held
         ON CONFLICT (operation_id, name) DO UPDATE SET state = 'applying', lease_term = excluded.lease_term,
             attempts = operation_steps.attempts + 1, error = NULL, started_at = excluded.started_at, finished_at = NULL",
        lease.operation.0,
        lease.term,
        step.as_str(),
        i16::try_from(ordinal).unwrap_or(0),
        kind.saga().progress_after(ordinal),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Writes down that a step took effect.
pub async fn end_step(db: &Db, lease: &Lease, step: StepName) -> Result<(), StoreError> {
    set_step(db, lease, step, "applied", None).await
}

/// Writes down how undoing a step ended: `None` is well, `Some` is what went wrong.
pub async fn undo_step(
    db: &Db,
    lease: &Lease,
    step: StepName,
    error: Option<&str>,
) -> Result<(), StoreError> {
    let state = if error.is_some() { "undo_failed" } else { "undone" };
    set_step(db, lease, step, state, error).await
}

async fn set_step(
    db: &Db,
    lease: &Lease,
    step: StepName,
    state: &str,
    error: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH held AS (SELECT id FROM operations WHERE id = $1 AND lease_term = $2 FOR NO KEY UPDATE)
         UPDATE operation_steps s SET state = $4, error = $5, finished_at = clock_timestamp()
         FROM held WHERE s.operation_id = held.id AND s.name = $3",
        lease.operation.0,
        lease.term,
        step.as_str(),
        state,
        error.map(foreign),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Tells people how a step gets on, for example `server.jar: 40%`, and hears from them: `true` if it was asked for that the
/// operation be given up.
pub async fn report(db: &Db, lease: &Lease, detail: &str) -> Result<bool, StoreError> {
    let cancelled = sqlx::query_scalar!(
        r#"UPDATE operations SET step_detail = $3 WHERE id = $1 AND lease_term = $2
           RETURNING cancel_requested_at IS NOT NULL AS "cancelled!""#,
        lease.operation.0,
        lease.term,
        foreign(detail),
    )
    .fetch_optional(db.pool())
    .await?;
    cancelled.ok_or(StoreError::LeaseLost)
}

/// Turns the operation round: from here its steps are undone. The first reason stays.
pub async fn begin_undo(db: &Db, lease: &Lease, failure: &Failure) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operations SET state = 'undoing', failure_code = COALESCE(failure_code, $3),
                failure_message = COALESCE(failure_message, $4)
         WHERE id = $1 AND lease_term = $2 AND state IN ('running', 'undoing')",
        lease.operation.0,
        lease.term,
        foreign(&failure.code),
        foreign(&failure.message),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Pins the certificate of the instance's agent.
pub async fn save_fingerprint(db: &Db, lease: &Lease, fingerprint: &str) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH held AS (
             SELECT instance_id FROM operations WHERE id = $1 AND lease_term = $2 FOR NO KEY UPDATE
         )
         UPDATE instances i SET agent_fingerprint = $3 FROM held WHERE i.id = held.instance_id",
        lease.operation.0,
        lease.term,
        fingerprint,
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Stores where players connect.
pub async fn save_address(db: &Db, lease: &Lease, address: &str) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH held AS (
             SELECT instance_id FROM operations WHERE id = $1 AND lease_term = $2 FOR NO KEY UPDATE
         )
         UPDATE instances i SET address = $3 FROM held WHERE i.id = held.instance_id",
        lease.operation.0,
        lease.term,
        address,
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}
