//! `Idempotency-Key` of requests for work: for 24 hours the same key and body are the same operation.
//!
//! The rules are in SQL (`migrations/functions/claim_idempotency_key.sql`), so that a create claims its key in the one round trip that it has.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{CustomerId, OperationId};
use sqlx::{PgConnection, postgres::types::PgInterval};
use uuid::Uuid;

use crate::{Db, StoreError, queue::Dispatch};

/// How long a key names its operation, in hours.
const LIFE_HOURS: i64 = 24;

/// What a request for work led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Requested {
    /// New rows, and an operation that a worker must hear of.
    New(Dispatch<OperationId>),
    /// The key was used before with the same body: that operation.
    Replayed(OperationId),
}

/// What a request finds its key to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// Its own.
    New,
    /// It was used before with the same body, for that operation.
    Replayed(OperationId),
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// It was used with another body.
    Reused,
    /// A request with it is being written.
    InProgress,
}

/// A request's key, and the SHA-256 of what was asked for with it.
pub(crate) struct Key<'a> {
    pub(crate) customer: CustomerId,
    pub(crate) text: &'a str,
    pub(crate) body_hash: &'a [u8; 32],
}

/// [`LIFE_HOURS`] for SQL.
pub(crate) const fn life() -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: LIFE_HOURS * 3_600_000_000 }
}

/// Takes the key for this transaction.
pub(crate) async fn claim(
    tx: &mut PgConnection,
    key: &Key<'_>,
    now: DateTime<Utc>,
) -> Result<Result<Claimed, KeyError>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", earlier_operation FROM claim_idempotency_key($1, $2, $3, $4, $5)"#,
        key.customer.0,
        key.text,
        key.body_hash,
        now,
        life(),
    )
    .fetch_one(tx)
    .await?;
    outcome(&row.outcome, row.earlier_operation)
        .ok_or_else(|| StoreError::corrupt("claim_idempotency_key", row.outcome))
}

/// What `claim_idempotency_key` answered, for it and for those that answer with its outcomes. `None` for another's.
pub(crate) fn outcome(outcome: &str, earlier: Option<Uuid>) -> Option<Result<Claimed, KeyError>> {
    match (outcome, earlier) {
        ("new", None) => Some(Ok(Claimed::New)),
        ("replayed", Some(operation)) => Some(Ok(Claimed::Replayed(OperationId(operation)))),
        ("key_reused", None) => Some(Err(KeyError::Reused)),
        ("in_progress", None) => Some(Err(KeyError::InProgress)),
        _ => None,
    }
}

/// Lets a key that this transaction has claimed name the operation.
pub(crate) async fn record(
    tx: &mut PgConnection,
    key: &Key<'_>,
    operation: OperationId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO idempotency_keys (customer_id, key, body_hash, operation_id, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        key.customer.0,
        key.text,
        key.body_hash,
        operation.0,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Drops keys past their time. Returns how many.
pub async fn forget_old_keys(db: &Db, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let before = now - TimeDelta::hours(LIFE_HOURS);
    let done =
        sqlx::query!("DELETE FROM idempotency_keys WHERE created_at < $1", before).execute(db.pool()).await?;
    Ok(done.rows_affected())
}
