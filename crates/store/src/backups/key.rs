//! `Idempotency-Key` of requests for work: the same key and body are the same operation.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{CustomerId, OperationId};
use sqlx::PgConnection;

use super::{BackupRequest, RequestError};

/// How long a key names its operation, in hours: as long as that of a create.
const KEY_HOURS: i64 = 24;

/// Takes the key for this transaction. `Some` is the operation that it named before.
pub(super) async fn claim(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>, RequestError> {
    let Some((key, body_hash)) = request.key else { return Ok(None) };
    let got = lock(tx, request.customer, key).await?;
    let row = sqlx::query!(
        "SELECT operation_id, body_hash, created_at FROM idempotency_keys WHERE customer_id = $1 AND key = $2",
        request.customer.0,
        key,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return if got { Ok(None) } else { Err(RequestError::KeyInProgress) } };
    if row.created_at >= now - TimeDelta::hours(KEY_HOURS) {
        let same = row.body_hash == body_hash;
        return if same { Ok(Some(OperationId(row.operation_id))) } else { Err(RequestError::KeyReused) };
    }
    if !got {
        return Err(RequestError::KeyInProgress);
    }
    sqlx::query!("DELETE FROM idempotency_keys WHERE customer_id = $1 AND key = $2", request.customer.0, key)
        .execute(tx)
        .await?;
    Ok(None)
}

/// The lock of the key, until the transaction's end; the same that a create takes.
async fn lock(tx: &mut PgConnection, customer: CustomerId, key: &str) -> Result<bool, RequestError> {
    let name = format!("idempotency:{customer}:{key}");
    let got =
        sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "got!""#, name)
            .fetch_one(tx)
            .await?;
    Ok(got)
}

/// Lets the key name the operation.
pub(super) async fn record(
    tx: &mut PgConnection,
    request: &BackupRequest<'_>,
    now: DateTime<Utc>,
) -> Result<(), RequestError> {
    let Some((key, body_hash)) = request.key else { return Ok(()) };
    sqlx::query!(
        "INSERT INTO idempotency_keys (customer_id, key, body_hash, operation_id, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        request.customer.0,
        key,
        &body_hash,
        request.operation.0,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
