//! The audit log: who did what. Rows can only be added.

use domain::ids::{CustomerId, InstanceId};
use serde_json::Value;

use crate::{Db, StoreError};

/// One entry.
#[derive(Clone, Debug, Default)]
pub struct Entry<'a> {
    /// Who: `customer:{id}`, `key:{id}`, `operator:{id}` or a daemon's name.
    pub actor: &'a str,
    /// What, for example `instance.create`.
    pub action: &'a str,
    /// Whose things.
    pub customer: Option<CustomerId>,
    /// Which instance.
    pub instance: Option<InstanceId>,
    /// The request, for finding its log lines.
    pub request_id: Option<&'a str>,
    /// More, without secrets.
    pub detail: Value,
}

/// Adds an entry.
pub async fn record(db: &Db, entry: &Entry<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_log (actor, action, customer_id, instance_id, request_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6)",
        entry.actor,
        entry.action,
        entry.customer.map(|id| id.0),
        entry.instance.map(|id| id.0),
        entry.request_id,
        entry.detail,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}
