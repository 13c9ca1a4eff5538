//! Servers that operators let customers have without a subscription.

use chrono::{DateTime, Utc};
use domain::ids::{CustomerId, GrantId};
use serde_json::json;
use sqlx::PgConnection;

use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
};

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Of which plan; any if `None`.
    pub plan: Option<String>,
    /// How many servers.
    pub quantity: i32,
    /// Why.
    pub reason: String,
    /// By whom.
    pub granted_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when; for ever if `None`.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A grant to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewGrant<'a> {
    /// To whom.
    pub customer: CustomerId,
    /// Of which plan; any if `None`.
    pub plan: Option<&'a str>,
    /// How many servers, 1 to 10,000.
    pub quantity: i32,
    /// Why.
    pub reason: &'a str,
    /// Until when; for ever if `None`.
    pub expires_at: Option<DateTime<Utc>>,
    /// By whom.
    pub by: By<'a>,
}

/// Makes a grant; `None` if there is no such customer.
pub async fn add(db: &Db, new: &NewGrant<'_>) -> Result<Option<GrantId>, StoreError> {
    let mut tx = db.pool().begin().await?;
    let there =
        sqlx::query_scalar!(r#"SELECT true AS "there!" FROM customers WHERE id = $1"#, new.customer.0)
            .fetch_optional(&mut *tx)
            .await?;
    if there.is_none() {
        return Ok(None);
    }
    let id = add_in(&mut tx, new).await?;
    tx.commit().await?;
    Ok(Some(id))
}

/// Makes a grant in the caller's transaction.
pub(crate) async fn add_in(tx: &mut PgConnection, new: &NewGrant<'_>) -> Result<GrantId, StoreError> {
    let id = GrantId::generate();
    sqlx::query!(
        "INSERT INTO entitlement_grants (id, customer_id, plan, quantity, reason, granted_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id.0,
        new.customer.0,
        new.plan,
        new.quantity,
        new.reason,
        new.by.actor,
        new.expires_at,
    )
    .execute(&mut *tx)
    .await?;
    let detail = json!({ "grant": id, "plan": new.plan, "quantity": new.quantity, "until": new.expires_at, "reason": new.reason });
    super::enforcement::record(&mut *tx, new.customer, "granted", new.reason, &detail, new.by.actor).await?;
    audit::record(tx, Entry::new(new.by, "billing.granted", new.customer, detail)).await?;
    Ok(id)
}

/// Takes a grant back: no more servers are made by it; those that there are stay. `false` if the customer has no such grant.
pub async fn revoke(
    db: &Db,
    customer: CustomerId,
    id: GrantId,
    reason: &str,
    by: By<'_>,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "UPDATE entitlement_grants SET revoked_at = clock_timestamp(), revoked_by = $3
         WHERE id = $2 AND customer_id = $1 AND revoked_at IS NULL",
        customer.0,
        id.0,
        by.actor,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let detail = json!({ "grant": id, "reason": reason });
    super::enforcement::record(&mut tx, customer, "revoked", reason, &detail, by.actor).await?;
    audit::record(&mut tx, Entry::new(by, "billing.revoked", customer, detail)).await?;
    tx.commit().await?;
    Ok(true)
}

/// A customer's grants that are in force, oldest first.
pub async fn active(db: &Db, customer: CustomerId) -> Result<Vec<Grant>, StoreError> {
    let grants = sqlx::query_as!(
        Grant,
        r#"SELECT id, plan, quantity, reason, granted_by, created_at, expires_at FROM entitlement_grants
           WHERE customer_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
           ORDER BY created_at, id LIMIT 200"#,
        customer.0
    );
    Ok(grants.fetch_all(db.pool()).await?)
}
