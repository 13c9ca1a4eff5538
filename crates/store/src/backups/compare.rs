//! Comparing the storage with the rows: who does it, what the rows say, and what came of it. By the database's clock.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use domain::{
    backup::BackupState,
    drift::StorageReport,
    ids::{BackupId, InstanceId},
};
use uuid::Uuid;

use crate::{Db, StoreError};

/// Begins a comparison, if none was begun for `every`: of all workers one makes it.
pub async fn begin_comparison(db: &Db, every: Duration) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE storage_report SET next_at = clock_timestamp() + make_interval(secs => $1)
         WHERE next_at <= clock_timestamp()",
        every.as_secs_f64(),
    );
    Ok(done.execute(db.pool()).await?.rows_affected() == 1)
}

/// Reports what a comparison came to that was begun `ago`.
pub async fn report_comparison(db: &Db, report: &StorageReport, ago: Duration) -> Result<(), StoreError> {
    let report = serde_json::to_value(report).map_err(|e| StoreError::corrupt("storage_report", e))?;
    sqlx::query!(
        "UPDATE storage_report SET reported_at = clock_timestamp(), report = $1, error = NULL,
                compared_at = clock_timestamp() - make_interval(secs => $2)",
        report,
        ago.as_secs_f64(),
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Reports that they could not be compared; it is tried again after `pause`. What was found last stays, with its time.
pub async fn report_comparison_failure(db: &Db, error: &str, pause: Duration) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE storage_report SET reported_at = clock_timestamp(), error = $1,
                next_at = clock_timestamp() + make_interval(secs => $2)",
        error,
        pause.as_secs_f64(),
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// What the rows say of these backups, and whether a failed one was looked for and is gone. Those without a row are not in it.
pub async fn states(db: &Db, ids: &[BackupId]) -> Result<HashMap<BackupId, (BackupState, bool)>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT id, state, reconciled_at IS NOT NULL AS "reconciled!" FROM backups WHERE id = ANY ($1)"#,
        &ids
    );
    let rows = rows.fetch_all(db.pool()).await?;
    let states = rows.into_iter().map(|row| {
        let state = row
            .state
            .parse()
            .map_err(|e: domain::instance::UnknownValue| StoreError::corrupt("backups", e))?;
        Ok((BackupId(row.id), (state, row.reconciled)))
    });
    states.collect()
}

/// Up to `limit` backups after `after`, by id, that are to be had, and whose server they are of.
pub async fn available(
    db: &Db,
    after: Option<BackupId>,
    limit: i64,
) -> Result<Vec<(BackupId, InstanceId)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, instance_id FROM backups WHERE state = 'available' AND id > $1 ORDER BY id LIMIT $2",
        after.map_or(Uuid::nil(), |id| id.0),
        limit,
    );
    let rows = rows.fetch_all(db.pool()).await?;
    Ok(rows.into_iter().map(|row| (BackupId(row.id), InstanceId(row.instance_id))).collect())
}

/// Those of these servers that have a row, living or deleted.
pub async fn known_servers(db: &Db, ids: &[InstanceId]) -> Result<HashSet<InstanceId>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let known = sqlx::query_scalar!("SELECT id FROM instances WHERE id = ANY ($1)", &ids);
    Ok(known.fetch_all(db.pool()).await?.into_iter().map(InstanceId).collect())
}
