//! Customers: making one, finding one, its password, and what operators see of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{
    account::{Customer, LinkPurpose, Role},
    ids::{CustomerId, SessionId},
    mail::SecurityEvent,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    api_keys,
    links::{self, NewLink},
    record,
};
use crate::{
    Db, Page, StoreError,
    audit::{self, By, Entry},
    billing::{self, NewGrant},
};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    /// Chosen by the caller.
    pub id: CustomerId,
    /// In the form of [`domain::account::normal_email`].
    pub email: String,
    /// For people.
    pub display_name: String,
    /// PHC string of argon2id.
    pub password_hash: String,
    /// What it is for.
    pub role: Role,
    /// How many live instances it may have at most.
    pub instance_limit: i32,
    /// Servers that it may have without a subscription.
    pub granted: i32,
    /// Who makes it, if somebody else does.
    pub by: Option<&'static str>,
    /// The link by which its owner shows that the address is theirs; taken as shown if `None`.
    pub verification: Option<NewLink>,
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateCustomerError {
    /// Somebody has this address.
    #[error("this e-mail address has an account already")]
    EmailTaken,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account with what proves that somebody is its owner.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub customer: Customer,
    /// PHC string of argon2id.
    pub password_hash: String,
}

struct Row {
    id: Uuid,
    email: String,
    display_name: String,
    role: String,
    instance_limit: i32,
    disabled_at: Option<DateTime<Utc>>,
    email_verified_at: Option<DateTime<Utc>>,
    stage: Option<String>,
    created_at: DateTime<Utc>,
    password_hash: String,
}

impl TryFrom<Row> for Credentials {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { customer: customer!(row), password_hash: row.password_hash })
    }
}

/// Makes an account.
pub async fn create(db: &Db, new: &NewCustomer, now: DateTime<Utc>) -> Result<(), CreateCustomerError> {
    let mut tx = db.pool().begin().await.map_err(StoreError::from)?;
    let inserted = sqlx::query!(
        "INSERT INTO customers
             (id, email, display_name, password_hash, role, instance_limit, created_at, updated_at, email_verified_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, CASE WHEN $8 THEN clock_timestamp() END)
         ON CONFLICT (email) DO NOTHING",
        new.id.0,
        new.email,
        new.display_name,
        new.password_hash,
        new.role.as_str(),
        new.instance_limit,
        now,
        new.verification.is_none(),
    )
    .execute(&mut *tx)
    .await
    .map_err(StoreError::from)?;
    if inserted.rows_affected() == 0 {
        return Err(CreateCustomerError::EmailTaken);
    }
    record(&mut tx, "customer.created", new.id, json!({ "role": new.role })).await?;
    if let Some(link) = &new.verification {
        links::mail(&mut tx, Some(new.id.0), &new.email, LinkPurpose::VerifyEmail, link).await?;
    }
    if new.granted > 0 {
        let grant = NewGrant {
            customer: new.id,
            plan: None,
            quantity: new.granted,
            reason: "Given with the account.",
            expires_at: None,
            by: By::itself(new.by.unwrap_or("zpack-api")),
        };
        billing::add_grant_in(&mut tx, &grant).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// The account with this address, to be signed in to.
pub async fn by_email(db: &Db, email: &str) -> Result<Option<Credentials>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT c.id, c.email, c.display_name, c.role, c.instance_limit, c.disabled_at, c.email_verified_at, e.stage AS "stage?", c.created_at,
                  c.password_hash
           FROM customers c LEFT JOIN billing_enforcement_states e ON e.customer_id = c.id WHERE c.email = $1"#,
        email,
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(Credentials::try_from).transpose()
}

/// The account with this id, to have its password confirmed.
pub async fn by_id(db: &Db, id: CustomerId) -> Result<Option<Credentials>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT c.id, c.email, c.display_name, c.role, c.instance_limit, c.disabled_at, c.email_verified_at, e.stage AS "stage?", c.created_at,
                  c.password_hash
           FROM customers c LEFT JOIN billing_enforcement_states e ON e.customer_id = c.id WHERE c.id = $1"#,
        id.0,
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(Credentials::try_from).transpose()
}

/// Replaces the password and ends every session but `keep`; with `revoke_keys` every API key too. A link for a new password is
/// void, and the owner is told by mail. `false` when the password has changed in between: two changes that both proved the old one must not both succeed.
pub async fn change_password(
    db: &Db,
    id: CustomerId,
    old_hash: &str,
    new_hash: &str,
    keep: SessionId,
    revoke_keys: bool,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let changed = sqlx::query!(
        "UPDATE customers SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2",
        id.0,
        old_hash,
        new_hash,
        now,
    )
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("DELETE FROM sessions WHERE customer_id = $1 AND id <> $2", id.0, keep.0)
        .execute(&mut *tx)
        .await?;
    record(&mut tx, "customer.password_changed", id, json!({})).await?;
    if revoke_keys {
        api_keys::revoke_in(&mut tx, id, None, now).await?;
    }
    links::void_reset(&mut tx, id).await?;
    links::notify_owner(&mut tx, id, SecurityEvent::PasswordChanged, None, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Stores the same password hashed with newer parameters. A password that was changed meanwhile is left alone.
pub async fn rehash_password(
    db: &Db,
    id: CustomerId,
    old_hash: &str,
    new_hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE customers SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2",
        id.0,
        old_hash,
        new_hash,
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// A customer as operators see them.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account.
    pub customer: Customer,
    /// How many live instances it has.
    pub instances: i64,
}

struct AccountRow {
    id: Uuid,
    email: String,
    display_name: String,
    role: String,
    instance_limit: i32,
    disabled_at: Option<DateTime<Utc>>,
    email_verified_at: Option<DateTime<Utc>>,
    stage: Option<String>,
    created_at: DateTime<Utc>,
    instances: i64,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        Ok(Self { customer: customer!(row), instances: row.instances })
    }
}

/// Accounts whose address, name or id has this text in it, newest first. For operators.
pub async fn search(db: &Db, text: &str, page: Page) -> Result<(Vec<Account>, Option<Uuid>), StoreError> {
    let rows = sqlx::query_as!(
        AccountRow,
        r#"SELECT c.id, c.email, c.display_name, c.role, c.instance_limit, c.disabled_at, c.email_verified_at, e.stage AS "stage?", c.created_at,
                  (SELECT count(*) FROM instances i WHERE i.customer_id = c.id
                   AND i.lifecycle IN ('provisioning', 'active', 'deleting')) AS "instances!"
           FROM customers c LEFT JOIN billing_enforcement_states e ON e.customer_id = c.id
           WHERE c.id < $2 AND (position(lower($1) in c.email) > 0 OR position(lower($1) in lower(c.display_name)) > 0
                                OR c.id::text = lower($1))
           ORDER BY c.id DESC LIMIT $3"#,
        text,
        page.before(),
        page.fetch(),
    )
    .fetch_all(db.pool())
    .await?;
    let accounts = rows.into_iter().map(Account::try_from).collect::<Result<_, _>>()?;
    Ok(page.cut(accounts, |account: &Account| account.customer.id.0))
}

/// The addresses of these accounts. For operators.
pub async fn emails(db: &Db, ids: &[CustomerId]) -> Result<HashMap<CustomerId, String>, StoreError> {
    let ids = ids.iter().map(|id| id.0).collect::<Vec<_>>();
    let rows =
        sqlx::query!("SELECT id, email FROM customers WHERE id = ANY($1)", &ids).fetch_all(db.pool()).await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.email)).collect())
}

/// Notes that an operator looks at a customer's pages as they see them, and why. They can be looked at from here on, for an
/// hour. `false` if there is no such customer.
pub async fn begin_view(db: &Db, id: CustomerId, by: By<'_>, reason: &str) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let there = sqlx::query_scalar!(r#"SELECT true AS "there!" FROM customers WHERE id = $1"#, id.0)
        .fetch_optional(&mut *tx)
        .await?;
    if there.is_none() {
        return Ok(false);
    }
    audit::record(&mut tx, Entry::new(by, VIEWED, id, json!({ "reason": reason }))).await?;
    tx.commit().await?;
    Ok(true)
}

/// The account that an operator looks at as its owner sees it: only if they said why within the last hour.
pub async fn viewed(db: &Db, id: CustomerId, actor: &str) -> Result<Option<Customer>, StoreError> {
    let begun = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM audit_log WHERE customer_id = $1 AND action = $2 AND actor = $3
                          AND at > clock_timestamp() - interval '1 hour') AS "begun!""#,
        id.0,
        VIEWED,
        actor,
    )
    .fetch_one(db.pool())
    .await?;
    if !begun {
        return Ok(None);
    }
    Ok(by_id(db, id).await?.map(|account| account.customer))
}

const VIEWED: &str = "operator.customer_viewed";
