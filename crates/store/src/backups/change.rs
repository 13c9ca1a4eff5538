//! Changing a backup: its name, its lock, its removal. What is in storage is the worker's.

use domain::{
    backup::{BackupRefusal, BackupState},
    ids::{BackupId, CustomerId, InstanceId, OperationId},
};
use serde_json::json;
use sqlx::PgConnection;

use super::BackupRequest;
use crate::{
    Db, StoreError,
    audit::{self, Entry},
};

/// What is to be changed; `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'a> {
    /// Its name, 1–100 characters.
    pub name: Option<&'a str>,
    /// Whether it is kept in any case.
    pub locked: Option<bool>,
}

/// Changes one of the customer's backups. `false` if there is none, or if it is being removed.
pub async fn edit(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    id: BackupId,
    edit: Edit<'_>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE backups SET name = COALESCE($4, name), locked = COALESCE($5, locked)
         WHERE id = $3 AND instance_id = $2 AND customer_id = $1 AND state IN ('running', 'available', 'failed')",
        customer.0,
        instance.0,
        id.0,
        edit.name,
        edit.locked,
    )
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a request to remove a backup led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// It is being removed.
    Removing,
    /// Not possible now.
    Refused(BackupRefusal),
    /// There is no such backup.
    Absent,
}

/// Commits the removal of a backup: its state and the audit row. The worker removes what is in storage.
/// `request.operation` and `request.key` have no meaning here.
pub async fn request_removal(
    db: &Db,
    request: &BackupRequest<'_>,
    id: BackupId,
) -> Result<RemoveOutcome, StoreError> {
    let mut tx = db.pool().begin().await?;
    // Where nothing is written, the transaction's drop rolls back: it holds no lock but the row's own.
    let Some((state, locked)) = lock(&mut tx, request, id).await? else { return Ok(RemoveOutcome::Absent) };
    let refused = |why| Ok(RemoveOutcome::Refused(why));
    match state {
        BackupState::Deleting => return Ok(RemoveOutcome::Removing),
        BackupState::Deleted => return Ok(RemoveOutcome::Absent),
        BackupState::Available if locked => return refused(BackupRefusal::Locked),
        BackupState::Running | BackupState::Available | BackupState::Failed => {}
    }
    if let Some(operation) = in_use(&mut tx, id).await? {
        return refused(BackupRefusal::Busy(operation));
    }
    remove(&mut tx, request, id).await?;
    tx.commit().await?;
    Ok(RemoveOutcome::Removing)
}

async fn lock(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    id: BackupId,
) -> Result<Option<(BackupState, bool)>, StoreError> {
    let row = sqlx::query!(
        "SELECT state, locked FROM backups WHERE id = $1 AND instance_id = $2 AND customer_id = $3
         FOR NO KEY UPDATE",
        id.0,
        request.instance.0,
        request.customer.0,
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| Ok((row.state.parse().map_err(|e| StoreError::corrupt("backups", e))?, row.locked)))
        .transpose()
}

async fn in_use(tx: &mut PgConnection, id: BackupId) -> Result<Option<OperationId>, StoreError> {
    let operation = sqlx::query_scalar!(
        "SELECT id FROM operations WHERE (backup_id = $1 OR then_restore_id = $1)
         AND state IN ('queued', 'running', 'undoing', 'stuck') LIMIT 1",
        id.0,
    )
    .fetch_optional(tx)
    .await?;
    Ok(operation.map(OperationId))
}

async fn remove(tx: &mut PgConnection, request: &BackupRequest<'_>, id: BackupId) -> Result<(), StoreError> {
    sqlx::query!("UPDATE backups SET state = 'deleting' WHERE id = $1", id.0).execute(&mut *tx).await?;
    let entry = Entry::new(request.by(), "backup.delete", request.customer, json!({ "backup": id }));
    audit::record(tx, entry.on(request.instance)).await
}
