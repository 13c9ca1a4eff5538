//! Reading backups.

use chrono::{DateTime, Utc};
use domain::{
    agent::BackupFacts,
    backup::{Backup, CORRUPT_CODE},
    ids::{BackupId, CustomerId, InstanceId},
    operation::Failure,
};
use uuid::Uuid;

use crate::{Db, Page, StoreError};

struct BackupRow {
    id: Uuid,
    instance_id: Uuid,
    customer_id: Uuid,
    name: String,
    state: String,
    locked: bool,
    origin: String,
    ignore_patterns: Vec<String>,
    keep: i32,
    archive_bytes: Option<i64>,
    archive_sha256: Option<String>,
    manifest_sha256: Option<String>,
    content_bytes: Option<i64>,
    files: Option<i64>,
    changed_files: i64,
    upload_id: Option<String>,
    verified_at: Option<DateTime<Utc>>,
    verify_failure: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<BackupRow> for Backup {
    type Error = StoreError;

    fn try_from(row: BackupRow) -> Result<Self, StoreError> {
        let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("backups", e);
        Ok(Self {
            facts: facts(&row)?,
            id: BackupId(row.id),
            instance_id: InstanceId(row.instance_id),
            customer_id: CustomerId(row.customer_id),
            name: row.name,
            state: row.state.parse().map_err(corrupt)?,
            locked: row.locked,
            origin: row.origin.parse().map_err(corrupt)?,
            ignore: row.ignore_patterns,
            keep: u32::try_from(row.keep).map_err(|e| StoreError::corrupt("backups", e))?,
            upload_id: row.upload_id,
            verified_at: row.verified_at,
            // Only a damaged archive fails it for good: see `use_failed`.
            verify_failure: row.verify_failure.map(|message| Failure::new(CORRUPT_CODE, message)),
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

fn facts(row: &BackupRow) -> Result<Option<BackupFacts>, StoreError> {
    let size = |n: i64| u64::try_from(n).map_err(|e| StoreError::corrupt("backups", e));
    let (Some(archive_bytes), Some(archive_sha256), Some(manifest_sha256)) =
        (row.archive_bytes, row.archive_sha256.clone(), row.manifest_sha256.clone())
    else {
        return Ok(None);
    };
    Ok(Some(BackupFacts {
        archive_bytes: size(archive_bytes)?,
        archive_sha256,
        manifest_sha256,
        content_bytes: size(row.content_bytes.unwrap_or_default())?,
        files: size(row.files.unwrap_or_default())?,
        changed_files: size(row.changed_files)?,
    }))
}

/// A query for backups that satisfy a condition. One statement per shape, so that one plan suits all arguments.
macro_rules! backups {
    ($condition:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            BackupRow,
            "SELECT id, instance_id, customer_id, name, state, locked, origin, ignore_patterns, keep, archive_bytes,
                    archive_sha256, manifest_sha256, content_bytes, files, changed_files, upload_id, verified_at,
                    verify_failure, created_at, finished_at
             FROM backups WHERE " + $condition,
            $($argument),+
        )
    };
}

/// One of the customer's backups of this instance. Somebody else's, one that is gone and one that never was are all
/// `None`.
pub async fn get(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    id: BackupId,
) -> Result<Option<Backup>, StoreError> {
    let row = backups!(
        "id = $3 AND instance_id = $2 AND customer_id = $1 AND state <> 'deleted'",
        customer.0,
        instance.0,
        id.0
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(Backup::try_from).transpose()
}

/// The customer's backups of an instance, newest first, and where the next page begins.
pub async fn list(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    page: Page,
) -> Result<(Vec<Backup>, Option<Uuid>), StoreError> {
    let rows = backups!(
        "customer_id = $1 AND instance_id = $2 AND state <> 'deleted' AND id < $3 ORDER BY id DESC LIMIT $4",
        customer.0,
        instance.0,
        page.before(),
        page.fetch()
    )
    .fetch_all(db.pool())
    .await?;
    let backups = rows.into_iter().map(Backup::try_from).collect::<Result<_, _>>()?;
    Ok(page.cut(backups, |backup: &Backup| backup.id.0))
}

/// A backup for the worker that holds an operation on it, or that sweeps, whoever owns it.
pub async fn get_for_work(db: &Db, id: BackupId) -> Result<Option<Backup>, StoreError> {
    let row = backups!("id = $1", id.0).fetch_optional(db.pool()).await?;
    row.map(Backup::try_from).transpose()
}

/// As [`super::unreconciled`].
pub(super) async fn unreconciled(
    db: &Db,
    after: Option<BackupId>,
    limit: i64,
) -> Result<Vec<Backup>, StoreError> {
    let rows = backups!(
        "(state = 'deleting' OR (state = 'failed' AND reconciled_at IS NULL)) AND id > $1 ORDER BY id LIMIT $2",
        after.map_or(Uuid::nil(), |id| id.0),
        limit
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter().map(Backup::try_from).collect()
}

/// The newest backups of the whole installation that are available and, as far as is known, whole, without this one: what
/// a storage has if it is the right one.
pub async fn witnesses(db: &Db, except: Option<BackupId>, limit: i64) -> Result<Vec<Backup>, StoreError> {
    let rows = backups!(
        "state = 'available' AND verify_failure IS NULL AND id <> $1 ORDER BY id DESC LIMIT $2",
        except.map_or(Uuid::nil(), |id| id.0),
        limit
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter().map(Backup::try_from).collect()
}
