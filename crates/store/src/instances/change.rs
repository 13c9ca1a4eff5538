//! Changing instances: names, deletion. What is outside is the worker's and the agent's.

use chrono::{DateTime, Utc};
use domain::{
    ids::{CustomerId, InstanceId, OperationId},
    instance::Lifecycle,
    operation::OperationKind,
};
use serde_json::json;
use sqlx::PgConnection;

use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
    events::Event,
    queue::Dispatch,
};

/// What a rename led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// Done; the new row version.
    Done(i64),
    /// Somebody changed it since that version was read.
    VersionChanged,
    /// The customer has another live instance of that name.
    NameTaken,
    /// There is no such instance.
    Absent,
}

/// Gives the instance another display name if its row version is still `expected`.
pub async fn rename(
    db: &Db,
    customer: CustomerId,
    id: InstanceId,
    name: &str,
    expected: i64,
    now: DateTime<Utc>,
) -> Result<Renamed, StoreError> {
    let renamed = sqlx::query_scalar!(
        "UPDATE instances SET name = $4, row_version = row_version + 1, updated_at = $5
         WHERE id = $2 AND customer_id = $1 AND row_version = $3 AND lifecycle IN ('provisioning', 'active', 'failed')
         RETURNING row_version",
        customer.0,
        id.0,
        expected,
        name,
        now,
    )
    .fetch_optional(db.pool())
    .await
    .map_err(StoreError::from);
    match renamed {
        Ok(Some(version)) => Ok(Renamed::Done(version)),
        Ok(None) => Ok(match super::get(db, customer, id).await? {
            Some(_) => Renamed::VersionChanged,
            None => Renamed::Absent,
        }),
        Err(error) if error.constraint() == Some("instances_live_name") => Ok(Renamed::NameTaken),
        Err(error) => Err(error),
    }
}

/// A request to delete an instance.
#[derive(Clone, Debug)]
pub struct DeleteRequest<'a> {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub instance: InstanceId,
    /// Chosen by the caller, for the operation if one is made.
    pub operation: OperationId,
    /// For the audit log.
    pub actor: &'a str,
    /// For the audit log.
    pub request_id: Option<&'a str>,
}

/// What a request to delete led to.
#[derive(Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// A new operation, of which a worker must hear.
    New(Dispatch<OperationId>),
    /// It is being deleted: that operation.
    Already(OperationId),
    /// Another operation is under way.
    Busy(OperationId),
    /// There is no such instance.
    Absent,
}

/// Commits a request to delete: the operation, the lifecycle, the audit row.
pub async fn request_delete(
    db: &Db,
    request: &DeleteRequest<'_>,
    now: DateTime<Utc>,
) -> Result<DeleteOutcome, StoreError> {
    let mut tx = db.pool().begin().await?;
    // Where nothing is written, the transaction's drop rolls back: it holds no lock but the row's own.
    let Some(lifecycle) = lock_instance(&mut tx, request).await? else { return Ok(DeleteOutcome::Absent) };
    if let Some((operation, kind)) = active_operation(&mut tx, request.instance).await? {
        return Ok(match kind {
            OperationKind::Delete => DeleteOutcome::Already(operation),
            _ => DeleteOutcome::Busy(operation),
        });
    }
    insert_delete(&mut tx, request, lifecycle, now).await?;
    crate::schedules::disable_all(&mut tx, request.instance).await?;
    tx.commit().await?;
    let event = Event::of_operation(request.customer, request.instance, request.operation);
    Ok(DeleteOutcome::New(Dispatch::new(request.operation, Some(event))))
}

async fn lock_instance(
    tx: &mut PgConnection,
    request: &DeleteRequest<'_>,
) -> Result<Option<Lifecycle>, StoreError> {
    let lifecycle = sqlx::query_scalar!(
        "SELECT lifecycle FROM instances WHERE id = $1 AND customer_id = $2 AND lifecycle <> 'deleted'
         FOR NO KEY UPDATE",
        request.instance.0,
        request.customer.0,
    )
    .fetch_optional(tx)
    .await?;
    lifecycle.map(|text| text.parse().map_err(|e| StoreError::corrupt("instances", e))).transpose()
}

async fn active_operation(
    tx: &mut PgConnection,
    instance: InstanceId,
) -> Result<Option<(OperationId, OperationKind)>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, kind FROM operations
         WHERE instance_id = $1 AND state IN ('queued', 'running', 'undoing', 'stuck')",
        instance.0,
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        let kind = row.kind.parse().map_err(|e| StoreError::corrupt("operations", e))?;
        Ok((OperationId(row.id), kind))
    })
    .transpose()
}

async fn insert_delete(
    tx: &mut PgConnection,
    request: &DeleteRequest<'_>,
    lifecycle: Lifecycle,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // A failed instance keeps its lifecycle: its name may be another's by now, and `deleting` would claim it back.
    let next = if lifecycle == Lifecycle::Failed { lifecycle } else { Lifecycle::Deleting };
    sqlx::query!(
        "WITH instance AS (
             UPDATE instances SET lifecycle = $4, desired_power = 'stopped', updated_at = $5 WHERE id = $1
         )
         INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
         VALUES ($3, $1, $2, 'delete', $5)",
        request.instance.0,
        request.customer.0,
        request.operation.0,
        next.as_str(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    let by = By { actor: request.actor, request_id: request.request_id };
    let detail = json!({ "operation": request.operation });
    let entry = Entry::new(by, "instance.delete", request.customer, detail).on(request.instance);
    audit::record(tx, entry).await
}
