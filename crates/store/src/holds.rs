//! Holds: reasons for which an instance may not run.

use chrono::{DateTime, Utc};
use domain::{ids::InstanceId, instance::HoldReason};
use uuid::Uuid;

use crate::{Db, StoreError};

/// Places a hold. A hold with the same reason in force stays as it is. Returns whether it was placed.
pub async fn place(
    db: &Db,
    instance: InstanceId,
    reason: HoldReason,
    note: &str,
    by: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (instance_id, reason) WHERE lifted_at IS NULL DO NOTHING",
        Uuid::now_v7(),
        instance.0,
        reason.as_str(),
        note,
        by,
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lifts the hold with this reason, and no other. Returns whether there was one.
pub async fn lift(
    db: &Db,
    instance: InstanceId,
    reason: HoldReason,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE holds SET lifted_at = $3 WHERE instance_id = $1 AND reason = $2 AND lifted_at IS NULL",
        instance.0,
        reason.as_str(),
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}
