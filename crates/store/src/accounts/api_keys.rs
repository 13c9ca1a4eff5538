//! API keys: making, recognising, listing and revoking them.

use chrono::{DateTime, Utc};
use domain::{
    account::{ApiKey, ApiScope, Customer, MAX_API_KEYS},
    ids::{ApiKeyId, CustomerId},
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SecretHash, record};
use crate::{Db, StoreError};

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Chosen by the caller.
    pub id: ApiKeyId,
    /// Whose.
    pub customer_id: CustomerId,
    /// What the customer calls it.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// Of the whole key.
    pub key_hash: SecretHash,
    /// What it may do; at least one.
    pub scopes: Vec<ApiScope>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    /// The account has [`MAX_API_KEYS`].
    #[error("an account has at most {MAX_API_KEYS} API keys")]
    TooMany,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Row {
    id: Uuid,
    customer_id: Uuid,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for ApiKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            customer_id: row.customer_id.into(),
            name: row.name,
            prefix: row.prefix,
            scopes: row
                .scopes
                .iter()
                .map(|scope| scope.parse().map_err(|e| StoreError::corrupt("api_keys", e)))
                .collect::<Result<_, _>>()?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    }
}

/// Makes a key. Two that are made at the same time may exceed the limit by one: it bounds a list, nothing else.
pub async fn create(db: &Db, new: &NewApiKey, now: DateTime<Utc>) -> Result<ApiKey, CreateApiKeyError> {
    let mut tx = db.pool().begin().await.map_err(StoreError::from)?;
    let scopes: Vec<String> = new.scopes.iter().map(ToString::to_string).collect();
    let row = sqlx::query_as!(
        Row,
        "INSERT INTO api_keys (id, customer_id, name, prefix, key_hash, scopes, created_at, expires_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8
         WHERE (SELECT count(*) FROM api_keys
                WHERE customer_id = $2 AND revoked_at IS NULL AND expires_at > $7) < $9
         RETURNING id, customer_id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at",
        new.id.0,
        new.customer_id.0,
        new.name,
        new.prefix,
        new.key_hash.as_slice(),
        &scopes,
        now,
        new.expires_at,
        MAX_API_KEYS,
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(StoreError::from)?;
    let key = ApiKey::try_from(row.ok_or(CreateApiKeyError::TooMany)?)?;
    let detail = json!({ "api_key": key.id, "scopes": key.scopes, "expires_at": key.expires_at });
    record(&mut tx, "api_key.created", key.customer_id, detail).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(key)
}

/// An account's keys that are not revoked, expired ones included, newest first.
pub async fn list(db: &Db, customer: CustomerId) -> Result<Vec<ApiKey>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, customer_id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at
         FROM api_keys WHERE customer_id = $1 AND revoked_at IS NULL
         ORDER BY created_at DESC, id DESC LIMIT 200",
        customer.0,
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// Revokes a key for good, and disables the schedules that it made. `false` when the account has no such key.
pub async fn revoke(
    db: &Db,
    customer: CustomerId,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let revoked = revoke_in(&mut tx, customer, Some(id), now).await?;
    tx.commit().await?;
    Ok(revoked > 0)
}

/// Revokes one key, or all of the account's, and disables the schedules that they made. How many it were.
pub(super) async fn revoke_in(
    tx: &mut PgConnection,
    customer: CustomerId,
    id: Option<ApiKeyId>,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let revoked = sqlx::query_scalar!(
        "UPDATE api_keys SET revoked_at = $3
         WHERE customer_id = $1 AND ($2::uuid IS NULL OR id = $2) AND revoked_at IS NULL RETURNING id",
        customer.0,
        id.map(|id| id.0),
        now,
    )
    .fetch_all(&mut *tx)
    .await?;
    for key in &revoked {
        let disabled = sqlx::query_scalar!(
            "UPDATE schedules SET enabled = false, next_run_at = NULL, row_version = row_version + 1, updated_at = $2
             WHERE api_key_id = $1 AND enabled RETURNING id",
            key,
            now,
        )
        .fetch_all(&mut *tx)
        .await?;
        let detail = json!({ "api_key": key, "disabled_schedules": disabled });
        record(tx, "api_key.revoked", customer, detail).await?;
    }
    Ok(revoked.len())
}

/// The key with this hash, unless it has expired or was revoked, and its account.
pub async fn find(
    db: &Db,
    key_hash: &SecretHash,
    now: DateTime<Utc>,
) -> Result<Option<(ApiKey, Customer)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT k.id, k.customer_id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.last_used_at,
                  c.email, c.display_name, c.role, c.instance_limit, c.disabled_at, c.email_verified_at, e.stage AS "stage?",
                  c.created_at AS joined_at
           FROM api_keys k JOIN customers c ON c.id = k.customer_id
           LEFT JOIN billing_enforcement_states e ON e.customer_id = c.id
           WHERE k.key_hash = $1 AND k.expires_at > $2 AND k.revoked_at IS NULL"#,
        key_hash.as_slice(),
        now,
    )
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let customer = Customer {
        id: row.customer_id.into(),
        email: row.email,
        display_name: row.display_name,
        role: row.role.parse().map_err(|e| StoreError::corrupt("customers", e))?,
        instance_limit: row.instance_limit,
        disabled_at: row.disabled_at,
        email_verified_at: row.email_verified_at,
        stage: super::stage(row.stage.as_deref())?,
        created_at: row.joined_at,
    };
    let key = Row {
        id: row.id,
        customer_id: row.customer_id,
        name: row.name,
        prefix: row.prefix,
        scopes: row.scopes,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: None,
    };
    Ok(Some((key.try_into()?, customer)))
}

/// Notes that a key was used.
pub async fn touch(db: &Db, id: ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("UPDATE api_keys SET last_used_at = $2 WHERE id = $1", id.0, now).execute(db.pool()).await?;
    Ok(())
}
