//! Sessions: opening, recognising, prolonging and ending them.

use chrono::{DateTime, Utc};
use domain::{
    account::{Customer, MAX_SESSIONS, Session},
    ids::{ApiKeyId, CustomerId, SessionId},
};
use serde_json::json;
use uuid::Uuid;

use super::{SecretHash, record};
use crate::{Db, StoreError};

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Chosen by the caller.
    pub id: SessionId,
    /// Whose.
    pub customer_id: CustomerId,
    /// Of its token.
    pub token_hash: SecretHash,
    /// What the client calls itself, cut to what the column takes.
    pub user_agent: String,
    /// When it ends unless it is used before.
    pub expires_at: DateTime<Utc>,
    /// The session that this client had before: it ends, so that a token planted before the login is worth nothing.
    pub replaces: Option<SecretHash>,
}

/// Opens a session; ends the one it replaces, those that have expired, and the oldest beyond [`MAX_SESSIONS`].
pub async fn open(db: &Db, new: &NewSession, now: DateTime<Utc>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    sqlx::query!(
        "DELETE FROM sessions WHERE token_hash = $2 OR (customer_id = $1 AND (expires_at <= $3 OR id IN (
             SELECT id FROM sessions WHERE customer_id = $1 ORDER BY last_seen_at DESC, id DESC OFFSET $4)))",
        new.customer_id.0,
        new.replaces.as_ref().map(<[u8; 32]>::as_slice),
        now,
        MAX_SESSIONS - 1,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO sessions (id, customer_id, token_hash, user_agent, created_at, last_seen_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $5, $6)",
        new.id.0,
        new.customer_id.0,
        new.token_hash.as_slice(),
        new.user_agent,
        now,
        new.expires_at,
    )
    .execute(&mut *tx)
    .await?;
    record(&mut tx, "session.opened", new.customer_id, json!({ "session": new.id })).await?;
    tx.commit().await?;
    Ok(())
}

struct Row {
    session_id: Uuid,
    session_created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    id: Uuid,
    email: String,
    display_name: String,
    role: String,
    instance_limit: i32,
    disabled_at: Option<DateTime<Utc>>,
    email_verified_at: Option<DateTime<Utc>>,
    stage: Option<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for (Session, Customer) {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let session = Session {
            id: row.session_id.into(),
            customer_id: row.id.into(),
            created_at: row.session_created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        };
        Ok((session, customer!(row)))
    }
}

/// The session with this token, unless it has expired, and its account.
pub async fn find(
    db: &Db,
    token_hash: &SecretHash,
    now: DateTime<Utc>,
) -> Result<Option<(Session, Customer)>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT s.id AS session_id, s.created_at AS session_created_at, s.last_seen_at, s.expires_at,
                  c.id, c.email, c.display_name, c.role, c.instance_limit, c.disabled_at, c.email_verified_at, e.stage AS "stage?", c.created_at
           FROM sessions s JOIN customers c ON c.id = s.customer_id
           LEFT JOIN billing_enforcement_states e ON e.customer_id = c.id
           WHERE s.token_hash = $1 AND s.expires_at > $2"#,
        token_hash.as_slice(),
        now,
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(TryFrom::try_from).transpose()
}

/// Notes that a session was used.
pub async fn prolong(
    db: &Db,
    id: SessionId,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1",
        id.0,
        now,
        expires_at
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The session.
    pub session: Session,
    /// What the browser calls itself.
    pub user_agent: String,
}

/// A customer's sessions that have not ended, the one that was used last first.
pub async fn list(db: &Db, customer: CustomerId, now: DateTime<Utc>) -> Result<Vec<Listed>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, user_agent, created_at, last_seen_at, expires_at FROM sessions
         WHERE customer_id = $1 AND expires_at > $2 ORDER BY last_seen_at DESC, id LIMIT 100",
        customer.0,
        now,
    )
    .fetch_all(db.pool())
    .await?;
    let listed = rows.into_iter().map(|row| Listed {
        session: Session {
            id: row.id.into(),
            customer_id: customer,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        },
        user_agent: row.user_agent,
    });
    Ok(listed.collect())
}

/// Ends a session. `false` if there is none: one that has ended already is no error.
pub async fn close(db: &Db, customer: CustomerId, id: SessionId) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let closed = sqlx::query!("DELETE FROM sessions WHERE id = $1 AND customer_id = $2", id.0, customer.0)
        .execute(&mut *tx)
        .await?;
    let there = closed.rows_affected() == 1;
    if there {
        record(&mut tx, "session.closed", customer, json!({ "session": id })).await?;
    }
    tx.commit().await?;
    Ok(there)
}

/// Which of these sessions and keys still open the door. For event streams, which outlive a request: one statement
/// answers for all of them.
pub async fn still_valid(
    db: &Db,
    sessions: &[SessionId],
    keys: &[ApiKeyId],
    now: DateTime<Utc>,
) -> Result<(Vec<SessionId>, Vec<ApiKeyId>), StoreError> {
    let session_ids: Vec<Uuid> = sessions.iter().map(|id| id.0).collect();
    let key_ids: Vec<Uuid> = keys.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT s.id AS "id!", true AS "is_session!" FROM sessions s JOIN customers c ON c.id = s.customer_id
           WHERE s.id = ANY($1) AND s.expires_at > $3 AND c.disabled_at IS NULL
           UNION ALL
           SELECT k.id, false FROM api_keys k JOIN customers c ON c.id = k.customer_id
           WHERE k.id = ANY($2) AND k.expires_at > $3 AND k.revoked_at IS NULL AND c.disabled_at IS NULL"#,
        &session_ids,
        &key_ids,
        now,
    )
    .fetch_all(db.pool())
    .await?;
    let (sessions, keys): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_session);
    Ok((
        sessions.into_iter().map(|row| row.id.into()).collect(),
        keys.into_iter().map(|row| row.id.into()).collect(),
    ))
}
