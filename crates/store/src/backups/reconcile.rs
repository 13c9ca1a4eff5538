//! Backups that need somebody's attention although no operation works on them.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    backup::Backup,
    ids::{BackupId, CustomerId, InstanceId, OperationId},
};

use super::read;
use crate::{Db, StoreError, events::Event, queue::Dispatch};

/// A verification that failed for another reason than the backup itself is tried again after this time.
const VERIFY_AGAIN: TimeDelta = TimeDelta::hours(24);

/// How long before a schedule that would find the server busy no verification begins.
const VERIFY_BEFORE: TimeDelta = TimeDelta::minutes(30);

/// For how long schedules put a verification off: there may be one every five minutes.
const VERIFY_PUT_OFF: TimeDelta = TimeDelta::days(1);

/// How long who reconciles a backup has it for itself. Longer than anybody takes over one.
const RECONCILING_SECONDS: f64 = 120.0;

/// Up to `limit` backups after `after`, by id, that are to be removed from storage, or that failed and may have left
/// something there.
pub async fn unreconciled(db: &Db, after: Option<BackupId>, limit: i64) -> Result<Vec<Backup>, StoreError> {
    read::unreconciled(db, after, limit).await
}

/// The failed backup that nobody has reconciled and that this operation was to make.
pub async fn unreconciled_of(db: &Db, operation: OperationId) -> Result<Option<BackupId>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT b.id FROM backups b JOIN operations o ON o.backup_id = b.id
         WHERE o.id = $1 AND o.kind = 'backup' AND b.state = 'failed' AND b.reconciled_at IS NULL",
        operation.0,
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(id.map(BackupId))
}

/// A backup that is not complete as far as the rows say, for whoever reconciles it with storage, alone.
#[derive(Clone, Debug)]
pub struct Reconciliation {
    /// As it is now: `running` or `failed`.
    pub backup: Backup,
    /// The operation that made it: the agent's name for the task.
    pub made_by: Option<OperationId>,
}

/// Takes a backup for reconciling, for two minutes or until it [is let go](end_reconciliation). `None` if it needs none
/// any more, or another does it. One that is being made is its operation's, whose lease keeps others away.
pub async fn begin_reconciliation(db: &Db, id: BackupId) -> Result<Option<Reconciliation>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE backups b SET reconciling_until = clock_timestamp() + make_interval(secs => $2)
           WHERE id = $1 AND (state = 'running' OR (state = 'failed' AND reconciled_at IS NULL
                              AND (reconciling_until IS NULL OR reconciling_until < clock_timestamp())))
           RETURNING (SELECT o.id FROM operations o WHERE o.backup_id = b.id AND o.kind = 'backup') AS made_by"#,
        id.0,
        RECONCILING_SECONDS,
    )
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let backup = read::get_for_work(db, id).await?;
    Ok(backup.map(|backup| Reconciliation { backup, made_by: row.made_by.map(OperationId) }))
}

/// Lets another reconcile it.
pub async fn end_reconciliation(db: &Db, id: BackupId) -> Result<(), StoreError> {
    sqlx::query!("UPDATE backups SET reconciling_until = NULL WHERE id = $1", id.0)
        .execute(db.pool())
        .await?;
    Ok(())
}

/// Nothing of a failed backup is left in storage.
pub async fn mark_reconciled(db: &Db, id: BackupId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE backups SET reconciled_at = clock_timestamp(), upload_id = NULL WHERE id = $1 AND state = 'failed'",
        id.0,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Nothing of a backup that was to be removed is left in storage.
pub async fn mark_removed(db: &Db, id: BackupId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE backups SET state = 'deleted', upload_id = NULL WHERE id = $1 AND state = 'deleting'",
        id.0,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Begins the verification that is due longest: of the newest available backup of an idle server, if it was not read
/// again for `every`, and, for a day, only while no schedule of the server is due soon. One at a time in the whole
/// installation. `None` if nothing is due or possible.
pub async fn begin_due_verification(
    db: &Db,
    every: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<Dispatch<OperationId>>, StoreError> {
    let due = sqlx::query!(
        "SELECT b.id, b.instance_id, b.customer_id FROM backups b JOIN instances i ON i.id = b.instance_id
         WHERE b.state = 'available' AND b.verify_failure IS NULL
           AND COALESCE(b.verified_at, b.finished_at) < $1 AND i.lifecycle = 'active'
           AND NOT EXISTS (SELECT 1 FROM backups newer WHERE newer.instance_id = b.instance_id
                           AND newer.state = 'available' AND newer.id > b.id)
           AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL)
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = i.id
                           AND o.state IN ('queued', 'running', 'undoing', 'stuck'))
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.backup_id = b.id AND o.kind = 'verify'
                           AND o.created_at > $2)
           AND (COALESCE(b.verified_at, b.finished_at) < $4
                OR NOT EXISTS (SELECT 1 FROM schedules s WHERE s.instance_id = i.id AND s.action <> 'command'
                               AND s.next_run_at < $3))
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.kind = 'verify'
                           AND o.state IN ('queued', 'running', 'undoing'))
         ORDER BY COALESCE(b.verified_at, b.finished_at), b.id LIMIT 1",
        now - every,
        now - VERIFY_AGAIN,
        now + VERIFY_BEFORE,
        now - every - VERIFY_PUT_OFF,
    )
    .fetch_optional(db.pool())
    .await?;
    let Some(due) = due else { return Ok(None) };
    let operation = OperationId::generate();
    let begun = sqlx::query_scalar!(
        r#"SELECT request_verification($1, $2, $3) AS "begun!""#,
        operation.0,
        due.id,
        now
    )
    .fetch_one(db.pool())
    .await?;
    let (customer, instance) = (CustomerId(due.customer_id), InstanceId(due.instance_id));
    let event = Event::of_operation(customer, instance, operation);
    Ok(begun.then(|| Dispatch::new(operation, Some(event))))
}
