//! Asking for a backup, and for what is done with one: one transaction each, with the operation and the audit row.

use chrono::{DateTime, Utc};
use domain::{
    backup::{BackupOrigin, BackupRefusal, BackupState, blocked_by},
    ids::{BackupId, CustomerId, InstanceId, OperationId},
    instance::{HoldReason, Lifecycle},
    operation::OperationKind,
};
use serde_json::json;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
    events::Event,
    idempotency::{self, Claimed, Key, KeyError, Requested},
    queue::Dispatch,
};

/// Who asks for work on an instance's backups, and under which key.
#[derive(Clone, Copy, Debug)]
pub struct BackupRequest<'a> {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub instance: InstanceId,
    /// Chosen by the caller, for the operation if one is made.
    pub operation: OperationId,
    /// The request's `Idempotency-Key`, if it has one, and the SHA-256 of what was asked for.
    pub key: Option<(&'a str, [u8; 32])>,
    /// For the audit log.
    pub actor: &'a str,
    /// For the audit log.
    pub request_id: Option<&'a str>,
}

impl BackupRequest<'_> {
    pub(super) fn by(&self) -> By<'_> {
        By { actor: self.actor, request_id: self.request_id }
    }

    /// New rows, of which a worker must hear.
    fn committed(&self) -> Requested {
        let event = Event::of_operation(self.customer, self.instance, self.operation);
        Requested::New(Dispatch::new(self.operation, Some(event)))
    }
}

/// A backup to be made. Its values were checked by the caller.
#[derive(Clone, Copy, Debug)]
pub struct NewBackup<'a> {
    /// Chosen by the caller: part of its objects' keys.
    pub id: BackupId,
    /// What the customer calls it, 1–100 characters.
    pub name: &'a str,
    /// Who asked for it.
    pub origin: BackupOrigin,
    /// Gitignore-style patterns.
    pub ignore: &'a [String],
    /// How many backups the instance's plan keeps.
    pub keep: u32,
}

/// What is to be done with a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Put it in the files' place.
    Restore,
    /// Read it again.
    Verify,
}

/// Why nothing was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is not possible now.
    #[error(transparent)]
    Refused(#[from] BackupRefusal),
    /// There is no such instance, or no such backup of it.
    #[error("there is no such thing")]
    Absent,
    /// The key was used with another body.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// A request with this key is being written.
    #[error("a request with this idempotency key is under way")]
    KeyInProgress,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RequestError {
    fn from(error: sqlx::Error) -> Self {
        let error = StoreError::from(error);
        match error.constraint() {
            // Committed by another request between our look and our write.
            Some("idempotency_keys_pkey") => Self::KeyInProgress,
            _ => Self::Store(error),
        }
    }
}

impl From<KeyError> for RequestError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Reused => Self::KeyReused,
            KeyError::InProgress => Self::KeyInProgress,
        }
    }
}

/// Commits a request for a backup: its row, the operation, the key, the audit row.
pub async fn request(
    db: &Db,
    request: &BackupRequest<'_>,
    backup: &NewBackup<'_>,
    now: DateTime<Utc>,
) -> Result<Requested, RequestError> {
    let mut tx = db.pool().begin().await?;
    let outcome = write_backup(&mut tx, request, backup, None, now).await;
    end(tx, outcome).await
}

/// Commits a request for a backup, and for the restore of another one that begins with the success of the backup, in its
/// transaction: nothing comes between, and if the backup fails nothing is restored.
pub async fn request_restore_after(
    db: &Db,
    request: &BackupRequest<'_>,
    backup: &NewBackup<'_>,
    restored: BackupId,
    now: DateTime<Utc>,
) -> Result<Requested, RequestError> {
    let mut tx = db.pool().begin().await?;
    let next = Next { operation: OperationId::generate(), restored };
    let outcome = write_backup(&mut tx, request, backup, Some(next), now).await;
    end(tx, outcome).await
}

/// The restore that follows a backup.
#[derive(Clone, Copy)]
struct Next {
    operation: OperationId,
    restored: BackupId,
}

async fn write_backup(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    backup: &NewBackup<'_>,
    next: Option<Next>,
    now: DateTime<Utc>,
) -> Result<Requested, RequestError> {
    if let Claimed::Replayed(earlier) = claim(tx, request, now).await? {
        return Ok(Requested::Replayed(earlier));
    }
    check_instance(tx, request).await?;
    if let Some(next) = next {
        check_available(tx, request, next.restored).await?;
    }
    check_room(tx, request.instance, backup.keep).await?;
    insert_backup(tx, request, backup, now).await?;
    insert_operation(tx, request, OperationKind::Backup, backup.id, next, now).await?;
    if let Some(next) = next {
        asked_for(tx, request, OperationKind::Restore, next.operation, next.restored).await?;
    }
    record(tx, request, now).await?;
    Ok(request.committed())
}

/// Commits a request to restore or verify a backup: the operation, the key, the audit row.
pub async fn request_use(
    db: &Db,
    request: &BackupRequest<'_>,
    backup: BackupId,
    wanted: Use,
    now: DateTime<Utc>,
) -> Result<Requested, RequestError> {
    let mut tx = db.pool().begin().await?;
    let outcome = write_use(&mut tx, request, backup, wanted, now).await;
    end(tx, outcome).await
}

async fn write_use(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    backup: BackupId,
    wanted: Use,
    now: DateTime<Utc>,
) -> Result<Requested, RequestError> {
    if let Claimed::Replayed(earlier) = claim(tx, request, now).await? {
        return Ok(Requested::Replayed(earlier));
    }
    check_instance(tx, request).await?;
    check_available(tx, request, backup).await?;
    let kind = match wanted {
        Use::Restore => OperationKind::Restore,
        Use::Verify => OperationKind::Verify,
    };
    insert_operation(tx, request, kind, backup, None, now).await?;
    record(tx, request, now).await?;
    Ok(request.committed())
}

/// Whether a backup can be used. Locks it, so that it is not removed between this look and the commit.
async fn check_available(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    backup: BackupId,
) -> Result<(), RequestError> {
    let state = sqlx::query_scalar!(
        "SELECT state FROM backups WHERE id = $1 AND instance_id = $2 AND customer_id = $3 AND state <> 'deleted'
         FOR NO KEY UPDATE",
        backup.0,
        request.instance.0,
        request.customer.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(RequestError::Absent)?;
    let state: BackupState = state.parse().map_err(|e| StoreError::corrupt("backups", e))?;
    if state == BackupState::Available { Ok(()) } else { Err(BackupRefusal::NotAvailable(state).into()) }
}

fn key<'a>(request: &'a BackupRequest<'a>) -> Option<Key<'a>> {
    let (text, body_hash) = request.key.as_ref()?;
    Some(Key { customer: request.customer, text, body_hash })
}

async fn claim(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    now: DateTime<Utc>,
) -> Result<Claimed, RequestError> {
    match key(request) {
        Some(key) => Ok(idempotency::claim(tx, &key, now).await??),
        None => Ok(Claimed::New),
    }
}

async fn record(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    now: DateTime<Utc>,
) -> Result<(), RequestError> {
    match key(request) {
        Some(key) => Ok(idempotency::record(tx, &key, request.operation, now).await?),
        None => Ok(()),
    }
}

/// Ends the transaction before anybody is answered. One that is dropped is rolled back some time later: until then it
/// would hold its key, and who tries again at once would hear that a request with it is under way.
async fn end(
    tx: Transaction<'_, Postgres>,
    outcome: Result<Requested, RequestError>,
) -> Result<Requested, RequestError> {
    match outcome {
        Ok(_) => tx.commit().await?,
        // If it cannot be rolled back the connection is gone, and with it what it held.
        Err(_) => drop(tx.rollback().await),
    }
    outcome
}

/// Locks the instance, so that of two requests one comes first, and looks whether work on it may begin.
async fn check_instance(tx: &mut PgConnection, request: &BackupRequest<'_>) -> Result<(), RequestError> {
    let lifecycle = sqlx::query_scalar!(
        "SELECT lifecycle FROM instances WHERE id = $1 AND customer_id = $2 AND lifecycle <> 'deleted'
         FOR NO KEY UPDATE",
        request.instance.0,
        request.customer.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(RequestError::Absent)?;
    let lifecycle: Lifecycle = lifecycle.parse().map_err(|e| StoreError::corrupt("instances", e))?;
    if lifecycle != Lifecycle::Active {
        return Err(BackupRefusal::NotActive(lifecycle).into());
    }
    let row = sqlx::query!(
        r#"SELECT (SELECT o.id FROM operations o WHERE o.instance_id = $1
                   AND o.state IN ('queued', 'running', 'undoing', 'stuck')) AS operation,
                  ARRAY(SELECT h.reason FROM holds h WHERE h.instance_id = $1 AND h.lifted_at IS NULL
                        ORDER BY h.placed_at, h.id) AS "holds!""#,
        request.instance.0,
    )
    .fetch_one(tx)
    .await?;
    if let Some(operation) = row.operation {
        return Err(BackupRefusal::Busy(OperationId(operation)).into());
    }
    for reason in row.holds {
        let reason: HoldReason = reason.parse().map_err(|e| StoreError::corrupt("holds", e))?;
        if blocked_by(reason) {
            return Err(BackupRefusal::OnHold(reason).into());
        }
    }
    Ok(())
}

/// Whether one more may be kept: retention makes room by removing others, but not locked ones.
async fn check_room(tx: &mut PgConnection, instance: InstanceId, keep: u32) -> Result<(), RequestError> {
    let locked = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM backups WHERE instance_id = $1 AND state = 'available' AND locked"#,
        instance.0,
    )
    .fetch_one(tx)
    .await?;
    if locked < i64::from(keep) { Ok(()) } else { Err(BackupRefusal::LimitReached(keep).into()) }
}

async fn insert_backup(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    backup: &NewBackup<'_>,
    now: DateTime<Utc>,
) -> Result<(), RequestError> {
    sqlx::query!(
        "INSERT INTO backups (id, instance_id, customer_id, name, origin, ignore_patterns, keep, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        backup.id.0,
        request.instance.0,
        request.customer.0,
        backup.name,
        backup.origin.as_str(),
        backup.ignore,
        i32::try_from(backup.keep).unwrap_or(i32::MAX),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_operation(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    kind: OperationKind,
    backup: BackupId,
    next: Option<Next>,
    now: DateTime<Utc>,
) -> Result<(), RequestError> {
    sqlx::query!(
        "INSERT INTO operations (id, instance_id, customer_id, kind, backup_id, created_at, then_restore_id,
             next_operation_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        request.operation.0,
        request.instance.0,
        request.customer.0,
        kind.as_str(),
        backup.0,
        now,
        next.map(|next| next.restored.0),
        next.map(|next| next.operation.0),
    )
    .execute(&mut *tx)
    .await?;
    asked_for(tx, request, kind, request.operation, backup).await
}

/// The audit row of an operation that was asked for.
async fn asked_for(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    kind: OperationKind,
    operation: OperationId,
    backup: BackupId,
) -> Result<(), RequestError> {
    let action = format!("instance.{kind}");
    let detail = json!({ "operation": operation, "backup": backup });
    let entry = Entry::new(request.by(), &action, request.customer, detail);
    Ok(audit::record(tx, entry.on(request.instance)).await?)
}
