//! Backups that need somebody's attention although no operation works on them.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    backup::Backup,
    ids::{BackupId, OperationId},
};

use super::read;
use crate::{Db, StoreError};

/// A verification that failed for another reason than the backup itself is tried again after this time.
const VERIFY_AGAIN: TimeDelta = TimeDelta::hours(24);

/// A backup whose objects are to be looked at.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The backup: `deleting`, or `failed` and not searched for.
    pub backup: Backup,
    /// The operation that made it: the agent's name for the task.
    pub made_by: Option<OperationId>,
}

/// Up to `limit` backups after `after`, by id, that are to be removed from storage, or that failed and may have left
/// something there.
pub async fn unsettled(db: &Db, after: Option<BackupId>, limit: i64) -> Result<Vec<Unsettled>, StoreError> {
    let backups = read::unsettled(db, after, limit).await?;
    let mut found = Vec::with_capacity(backups.len());
    for backup in backups {
        let made_by = sqlx::query_scalar!(
            "SELECT id FROM operations WHERE backup_id = $1 AND kind = 'backup'",
            backup.id.0
        )
        .fetch_optional(db.pool())
        .await?;
        found.push(Unsettled { backup, made_by: made_by.map(OperationId) });
    }
    Ok(found)
}

/// Nothing of a failed backup is left in storage.
pub async fn mark_swept(db: &Db, id: BackupId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE backups SET swept_at = clock_timestamp(), upload_id = NULL WHERE id = $1 AND state = 'failed'",
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
/// again for `every`. One at a time in the whole installation. `None` if nothing is due or possible.
pub async fn begin_due_verification(
    db: &Db,
    every: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>, StoreError> {
    let due = sqlx::query_scalar!(
        "SELECT b.id FROM backups b JOIN instances i ON i.id = b.instance_id
         WHERE b.state = 'available' AND b.verify_failure IS NULL
           AND COALESCE(b.verified_at, b.finished_at) < $1 AND i.lifecycle = 'active'
           AND NOT EXISTS (SELECT 1 FROM backups newer WHERE newer.instance_id = b.instance_id
                           AND newer.state = 'available' AND newer.id > b.id)
           AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL)
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = i.id
                           AND o.state IN ('queued', 'running', 'undoing', 'stuck'))
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.backup_id = b.id AND o.kind = 'verify'
                           AND o.created_at > $2)
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.kind = 'verify'
                           AND o.state IN ('queued', 'running', 'undoing'))
         ORDER BY COALESCE(b.verified_at, b.finished_at), b.id LIMIT 1",
        now - every,
        now - VERIFY_AGAIN,
    )
    .fetch_optional(db.pool())
    .await?;
    let Some(due) = due else { return Ok(None) };
    let operation = OperationId::generate();
    let begun =
        sqlx::query_scalar!(r#"SELECT request_verification($1, $2, $3) AS "begun!""#, operation.0, due, now)
            .fetch_one(db.pool())
            .await?;
    Ok(begun.then_some(operation))
}
