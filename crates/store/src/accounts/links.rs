//! Links that are mailed: for a new password, and to show that somebody reads an address's mail.
//!
//! An account has one of each kind: a new one takes the place of the one before, and one that was used is gone. Their time is the
//! database's.

use chrono::{DateTime, Utc};
use domain::{
    account::LinkPurpose,
    ids::CustomerId,
    mail::{Envelope, LinkToken, Mail, SecurityEvent},
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SecretHash, api_keys, record};
use crate::{
    Db, StoreError,
    outbox::{MAX_AGE, enqueue_mail, enqueue_mail_if},
};

/// A link to be mailed.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// For the mail alone.
    pub token: LinkToken,
    /// What is kept of it.
    pub token_hash: SecretHash,
}

/// Has a link for a new password mailed to the account with this address, if there is one that is not disabled.
///
/// Whether there is one shows in nothing: the statements are the same ones, and something is written in either case, so that the
/// commit waits for the disk.
pub async fn request_reset(db: &Db, email: &str, link: &NewLink) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let account =
        sqlx::query_scalar!("SELECT id FROM customers WHERE email = $1 AND disabled_at IS NULL", email)
            .fetch_optional(&mut *tx)
            .await?;
    mail(&mut tx, account, email, LinkPurpose::PasswordReset, link).await?;
    // A customer did not necessarily ask: whoever can type the address did.
    sqlx::query!(
        "INSERT INTO audit_log (actor, action, customer_id) VALUES ('zpack-api', 'customer.password_reset_requested', $1)",
        account,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Has a link mailed with which a customer shows that they read their address's mail. `false` if they did already.
pub async fn request_verification(db: &Db, customer: CustomerId, link: &NewLink) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let email = sqlx::query_scalar!(
        "SELECT email FROM customers WHERE id = $1 AND email_verified_at IS NULL",
        customer.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(email) = email else { return Ok(false) };
    mail(&mut tx, Some(customer.0), &email, LinkPurpose::VerifyEmail, link).await?;
    record(&mut tx, "customer.verification_requested", customer, json!({})).await?;
    tx.commit().await?;
    Ok(true)
}

/// Stores a link in place of the one before, and has it mailed. Without an account the same two statements do nothing.
pub(super) async fn mail(
    tx: &mut PgConnection,
    account: Option<Uuid>,
    email: &str,
    purpose: LinkPurpose,
    link: &NewLink,
) -> Result<(), StoreError> {
    let expires_at = sqlx::query_scalar!(
        r#"WITH life AS MATERIALIZED (SELECT clock_timestamp() + make_interval(secs => $5) AS expires_at),
           made AS (
               INSERT INTO mailed_links (customer_id, purpose, token_hash, email, expires_at)
               SELECT $1, $2, $3, $4, expires_at FROM life WHERE $1::uuid IS NOT NULL
               ON CONFLICT (customer_id, purpose) DO UPDATE SET token_hash = excluded.token_hash, email = excluded.email,
                   created_at = clock_timestamp(), expires_at = excluded.expires_at
           )
           SELECT expires_at AS "expires_at!" FROM life"#,
        account,
        purpose.as_str(),
        link.token_hash.as_slice(),
        email,
        purpose.life().as_secs_f64(),
    )
    .fetch_one(&mut *tx)
    .await?;
    let token = link.token.clone();
    let mail = match purpose {
        LinkPurpose::PasswordReset => Mail::PasswordReset { token, expires_at },
        LinkPurpose::VerifyEmail => Mail::VerifyEmail { token, expires_at },
    };
    // Without a name, which is whatever somebody typed who need not own the address.
    let envelope = Envelope { to: email.to_owned(), to_name: None, mail };
    let key = format!("{purpose}:{}", Uuid::now_v7());
    enqueue_mail_if(&mut *tx, &envelope, &key, purpose.life(), account.is_some()).await?;
    Ok(())
}

/// The address of the account whose password can be set with this token; nothing is changed.
pub async fn address_of_reset(db: &Db, token_hash: &SecretHash) -> Result<Option<String>, StoreError> {
    let email = sqlx::query_scalar!(
        "SELECT c.email FROM mailed_links l JOIN customers c ON c.id = l.customer_id
         WHERE l.token_hash = $1 AND l.purpose = 'password_reset' AND l.expires_at > clock_timestamp()
           AND c.disabled_at IS NULL",
        token_hash.as_slice(),
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(email)
}

/// A password to be set by whoever has the link for it.
#[derive(Clone, Debug)]
pub struct PasswordReset<'a> {
    /// Of the link.
    pub token_hash: &'a SecretHash,
    /// PHC string of argon2id.
    pub password_hash: &'a str,
    /// Whether every API key is revoked as well.
    pub revoke_keys: bool,
    /// From which address on the network, for the mail that tells the owner.
    pub from: &'a str,
}

/// Sets the password, ends every session, and tells the owner by mail, naming the API keys that still work. `false`, and nothing
/// is done, when no link with this token works: each works once.
pub async fn reset_password(
    db: &Db,
    new: &PasswordReset<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let Some((customer, email)) = take(&mut tx, LinkPurpose::PasswordReset, new.token_hash).await? else {
        return Ok(false);
    };
    // The link came by mail: whoever has it reads the address's mail.
    sqlx::query!(
        "UPDATE customers SET password_hash = $2, updated_at = $3,
                email_verified_at = COALESCE(email_verified_at, CASE WHEN email = $4 THEN clock_timestamp() END)
         WHERE id = $1",
        customer.0,
        new.password_hash,
        now,
        email,
    )
    .execute(&mut *tx)
    .await?;
    let ended =
        sqlx::query!("DELETE FROM sessions WHERE customer_id = $1", customer.0).execute(&mut *tx).await?;
    let detail = json!({ "sessions": ended.rows_affected(), "revoke_keys": new.revoke_keys });
    record(&mut tx, "customer.password_reset", customer, detail).await?;
    if new.revoke_keys {
        api_keys::revoke_in(&mut tx, customer, None, now).await?;
    }
    notify_owner(&mut tx, customer, SecurityEvent::PasswordReset, Some(new.from), now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Notes that somebody reads the mail of the address to which this token was sent. `false` when no such link works.
pub async fn verify_email(db: &Db, token_hash: &SecretHash) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let Some((customer, email)) = take(&mut tx, LinkPurpose::VerifyEmail, token_hash).await? else {
        return Ok(false);
    };
    let verified = sqlx::query!(
        "UPDATE customers SET email_verified_at = clock_timestamp() WHERE id = $1 AND email = $2",
        customer.0,
        email,
    )
    .execute(&mut *tx)
    .await?;
    if verified.rows_affected() == 0 {
        return Ok(false);
    }
    record(&mut tx, "customer.email_verified", customer, json!({})).await?;
    tx.commit().await?;
    Ok(true)
}

/// Uses a link up. Whose it was and where it was mailed, if it works.
async fn take(
    tx: &mut PgConnection,
    purpose: LinkPurpose,
    token_hash: &SecretHash,
) -> Result<Option<(CustomerId, String)>, StoreError> {
    // The account before its links, as a change of password locks them: two that wait for one another would both fail.
    let whose = sqlx::query_scalar!(
        "SELECT c.id FROM customers c JOIN mailed_links l ON l.customer_id = c.id
         WHERE l.token_hash = $1 AND l.purpose = $2 AND c.disabled_at IS NULL FOR NO KEY UPDATE OF c",
        token_hash.as_slice(),
        purpose.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(whose) = whose else { return Ok(None) };
    let email = sqlx::query_scalar!(
        "DELETE FROM mailed_links
         WHERE token_hash = $1 AND purpose = $2 AND customer_id = $3 AND expires_at > clock_timestamp() RETURNING email",
        token_hash.as_slice(),
        purpose.as_str(),
        whose,
    )
    .fetch_optional(&mut *tx)
    .await?;
    Ok(email.map(|email| (whose.into(), email)))
}

/// Voids the link for a new password, since there is one.
pub(super) async fn void_reset(tx: &mut PgConnection, customer: CustomerId) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM mailed_links WHERE customer_id = $1 AND purpose = 'password_reset'",
        customer.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Tells an account's owner by mail that something was changed about how it is signed in to.
pub(super) async fn notify_owner(
    tx: &mut PgConnection,
    customer: CustomerId,
    event: SecurityEvent,
    from: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let account = sqlx::query!(
        r#"SELECT c.email, c.display_name, clock_timestamp() AS "at!",
                  ARRAY(SELECT k.name FROM api_keys k WHERE k.customer_id = c.id AND k.revoked_at IS NULL AND k.expires_at > $2
                        ORDER BY k.created_at) AS "api_keys!"
           FROM customers c WHERE c.id = $1"#,
        customer.0,
        now,
    )
    .fetch_one(&mut *tx)
    .await?;
    let (at, api_keys) = (account.at, account.api_keys);
    let mail = Mail::SecurityNotice { event, at, from: from.map(ToOwned::to_owned), api_keys };
    let envelope = Envelope { to: account.email, to_name: Some(account.display_name), mail };
    let key = format!("{event}:{}", Uuid::now_v7());
    enqueue_mail(&mut *tx, &envelope, &key, MAX_AGE).await?;
    Ok(())
}
