//! What a worker writes about backups: under its operation's lease, or for one that was found again.

use domain::{
    agent::BackupFacts,
    backup::{CORRUPT_CODE, Kept, give_way},
    ids::{BackupId, InstanceId},
    operation::{CANCELLED_CODE, Failure},
    text::foreign,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
    operations::{Lease, finish, held},
};

/// Stores the storage's handle of an upload before anything is uploaded.
pub async fn save_upload(db: &Db, lease: &Lease, upload: &str) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH held AS (SELECT backup_id FROM operations WHERE id = $1 AND lease_term = $2 FOR NO KEY UPDATE)
         UPDATE backups b SET upload_id = $3 FROM held WHERE b.id = held.backup_id AND b.state = 'running'",
        lease.operation.0,
        lease.term,
        upload,
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Stores what was made, before the storage makes an object of its parts: whoever finds the archive finds these too.
pub async fn save_facts(db: &Db, lease: &Lease, facts: &BackupFacts) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH held AS (SELECT backup_id FROM operations WHERE id = $1 AND lease_term = $2 FOR NO KEY UPDATE)
         UPDATE backups b SET archive_bytes = $3, archive_sha256 = $4, manifest_sha256 = $5, content_bytes = $6,
                files = $7, changed_files = $8
         FROM held WHERE b.id = held.backup_id AND b.state = 'running'",
        lease.operation.0,
        lease.term,
        size(facts.archive_bytes),
        facts.archive_sha256,
        facts.manifest_sha256,
        size(facts.content_bytes),
        size(facts.files),
        size(facts.changed_files),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// The backup is available; the operation succeeded; older ones give way.
pub async fn backup_succeeded(db: &Db, lease: &Lease, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "succeeded", None).await?;
    let keep = sqlx::query_scalar!(
        "UPDATE backups b SET state = 'available', upload_id = NULL, finished_at = clock_timestamp()
         FROM operations o WHERE o.id = $1 AND b.id = o.backup_id AND b.state = 'running' RETURNING b.keep",
        lease.operation.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    // Before others give way: the one that is to be restored is in use from here on.
    sqlx::query!("SELECT begin_next_operation($1)", lease.operation.0).fetch_one(&mut *tx).await?;
    retain(&mut tx, ended.instance, keep, by).await?;
    ended.record(&mut tx, "backup.created", by).await?;
    tx.commit().await?;
    Ok(())
}

/// The operation failed. Its backup failed with it, unless it was found to be complete; the sweep looks again at what
/// may be left in storage.
pub async fn backup_failed(db: &Db, lease: &Lease, failure: &Failure, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "failed", Some(failure)).await?;
    sqlx::query!(
        "UPDATE backups b SET state = 'failed', finished_at = clock_timestamp()
         FROM operations o WHERE o.id = $1 AND b.id = o.backup_id AND b.state = 'running'",
        lease.operation.0,
    )
    .execute(&mut *tx)
    .await?;
    let action = if failure.code == CANCELLED_CODE { "backup.cancelled" } else { "backup.failed" };
    ended.record(&mut tx, action, by).await?;
    tx.commit().await?;
    Ok(())
}

/// A restore or a verification failed. If the backup itself is the reason, it says so from now on.
pub async fn use_failed(db: &Db, lease: &Lease, failure: &Failure, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "failed", Some(failure)).await?;
    if failure.code == CORRUPT_CODE {
        sqlx::query!(
            "UPDATE backups b SET verify_failure = $2 FROM operations o WHERE o.id = $1 AND b.id = o.backup_id",
            lease.operation.0,
            foreign(&failure.message),
        )
        .execute(&mut *tx)
        .await?;
    }
    let action = if failure.code == CANCELLED_CODE { "backup.use_cancelled" } else { "backup.use_failed" };
    ended.record(&mut tx, action, by).await?;
    tx.commit().await?;
    Ok(())
}

/// The instance has the backup's files; the operation succeeded.
pub async fn restore_succeeded(db: &Db, lease: &Lease, by: By<'_>) -> Result<(), StoreError> {
    used(db, lease, "backup.restored", by).await
}

/// The backup was read again and is good; the operation succeeded.
pub async fn verify_succeeded(db: &Db, lease: &Lease, by: By<'_>) -> Result<(), StoreError> {
    used(db, lease, "backup.verified", by).await
}

/// An undone restore owes the instance a start that its agent could not be asked for: kept like a customer's power
/// request, unless there is one.
pub async fn owe_start(db: &Db, lease: &Lease, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let instance = sqlx::query_scalar!(
        "SELECT instance_id FROM operations WHERE id = $1 AND lease_term = $2 FOR NO KEY UPDATE",
        lease.operation.0,
        lease.term,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    sqlx::query!(
        "INSERT INTO power_requests (instance_id, id, action, requested_by) VALUES ($1, $2, 'start', $3)
         ON CONFLICT (instance_id) DO NOTHING",
        instance,
        Uuid::now_v7(),
        by.actor,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Either way all of it was downloaded and compared with its manifest.
async fn used(db: &Db, lease: &Lease, action: &str, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "succeeded", None).await?;
    let done = sqlx::query!(
        "UPDATE backups b SET verified_at = clock_timestamp(), verify_failure = NULL
         FROM operations o WHERE o.id = $1 AND b.id = o.backup_id",
        lease.operation.0,
    )
    .execute(&mut *tx)
    .await?;
    held(done.rows_affected())?;
    ended.record(&mut tx, action, by).await?;
    tx.commit().await?;
    Ok(())
}

/// A backup that is complete in storage although its operation did not succeed: available from now on, and older ones
/// give way. `false` if it is none that was being made or had failed.
pub async fn found(db: &Db, id: BackupId, facts: &BackupFacts, by: By<'_>) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let row = sqlx::query!(
        "UPDATE backups SET state = 'available', archive_bytes = $2, archive_sha256 = $3, manifest_sha256 = $4,
                content_bytes = $5, files = $6, changed_files = $7, upload_id = NULL,
                finished_at = COALESCE(finished_at, clock_timestamp()), reconciled_at = NULL
         WHERE id = $1 AND state IN ('running', 'failed') RETURNING instance_id, customer_id, keep",
        id.0,
        size(facts.archive_bytes),
        facts.archive_sha256,
        facts.manifest_sha256,
        size(facts.content_bytes),
        size(facts.files),
        size(facts.changed_files),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    retain(&mut tx, InstanceId(row.instance_id), row.keep, by).await?;
    let entry = Entry::new(by, "backup.found", row.customer_id.into(), json!({ "backup": id }));
    audit::record(&mut tx, entry.on(row.instance_id.into())).await?;
    tx.commit().await?;
    Ok(true)
}

/// Lets go of what is too much. One that an operation uses stays until the next time.
async fn retain(
    tx: &mut PgConnection,
    instance: InstanceId,
    keep: i32,
    by: By<'_>,
) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, verify_failure IS NOT NULL AS "broken!",
                  locked OR EXISTS (SELECT 1 FROM operations o
                                    WHERE (o.backup_id = b.id AND o.kind <> 'backup' OR o.then_restore_id = b.id)
                                    AND o.state IN ('queued', 'running', 'undoing', 'stuck')) AS "locked!"
           FROM backups b WHERE instance_id = $1 AND state = 'available' FOR NO KEY UPDATE"#,
        instance.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    let kept: Vec<_> = rows
        .iter()
        .map(|row| Kept { id: BackupId(row.id), locked: row.locked, broken: row.broken })
        .collect();
    let gone = give_way(&kept, u32::try_from(keep).map_err(|e| StoreError::corrupt("backups", e))?);
    let gone: Vec<_> = gone.into_iter().map(|id| id.0).collect();
    let gone = sqlx::query!(
        "UPDATE backups SET state = 'deleting' WHERE id = ANY ($1) AND state = 'available' RETURNING id, customer_id",
        &gone,
    )
    .fetch_all(&mut *tx)
    .await?;
    let entries = gone.iter().map(|row| {
        Entry::new(by, "backup.retired", row.customer_id.into(), json!({ "backup": row.id })).on(instance)
    });
    audit::record_all(tx, &entries.collect::<Vec<_>>()).await
}

/// The instance is gone, and its backups go with it, locked ones too.
pub(crate) async fn remove_all(tx: &mut PgConnection, instance: InstanceId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE backups SET state = 'deleting' WHERE instance_id = $1 AND state NOT IN ('deleting', 'deleted')",
        instance.0,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn size(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
