//! Development workspaces: the one-time tickets that open them, the cookies these become, and when one was used last.
//!
//! Both belong to the session that asked, and end with it.

use chrono::{DateTime, Utc};
use domain::{
    account::Session,
    agent::PowerAction,
    ids::{CustomerId, InstanceId, SessionId},
    instance::StopReason,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Db, StoreError,
    accounts::SecretHash,
    audit::{self, By, Entry},
    power,
};

/// A ticket to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewTicket {
    /// Of the ticket.
    pub ticket_hash: SecretHash,
    /// What it opens.
    pub instance_id: InstanceId,
    /// Whose it is, and with what it ends.
    pub session_id: SessionId,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// What a ticket becomes.
#[derive(Clone, Copy, Debug)]
pub struct NewIdeSession {
    /// Chosen by the caller.
    pub id: Uuid,
    /// Of the cookie's value.
    pub token_hash: SecretHash,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
}

/// What a workspace's cookie allows at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdeAccess {
    /// The workspace, which has an owner who is signed in; whether it runs is another question.
    pub instance_id: InstanceId,
    /// Its owner.
    pub customer_id: CustomerId,
    /// The session that the cookie was made for.
    pub session: Session,
}

/// Stores a ticket.
pub async fn put_ticket(db: &Db, new: &NewTicket) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO ide_tickets (ticket_hash, instance_id, session_id, expires_at) VALUES ($1, $2, $3, $4)",
        new.ticket_hash.as_slice(),
        new.instance_id.0,
        new.session_id.0,
        new.expires_at,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Turns a ticket for the workspace with this hostname into a session of it. `false` for one that is not for it, was
/// used or has expired, and when the session that asked has ended.
pub async fn redeem(
    db: &Db,
    ticket_hash: &SecretHash,
    hostname: &str,
    new: &NewIdeSession,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let made = sqlx::query!(
        "WITH used AS (
             DELETE FROM ide_tickets t USING instances i, sessions s
             WHERE t.ticket_hash = $1 AND t.expires_at > $3
               AND i.id = t.instance_id AND i.hostname = $2 AND i.lifecycle = 'active'
               AND s.id = t.session_id AND s.expires_at > $3 AND s.customer_id = i.customer_id
             RETURNING t.instance_id, t.session_id)
         INSERT INTO ide_sessions (id, token_hash, instance_id, session_id, created_at, expires_at)
         SELECT $4, $5, instance_id, session_id, $3, $6 FROM used",
        ticket_hash.as_slice(),
        hostname,
        now,
        new.id,
        new.token_hash.as_slice(),
        new.expires_at,
    )
    .execute(db.pool())
    .await?;
    Ok(made.rows_affected() == 1)
}

/// What the cookie with this hash allows at this hostname. `None` for another workspace's, and once it, the session
/// behind it, the account or the workspace has ended.
pub async fn access(
    db: &Db,
    token_hash: &SecretHash,
    hostname: &str,
    now: DateTime<Utc>,
) -> Result<Option<IdeAccess>, StoreError> {
    let row = sqlx::query!(
        "SELECT i.id AS instance_id, s.id, s.customer_id, s.created_at, s.last_seen_at, s.expires_at
         FROM ide_sessions e
         JOIN sessions s ON s.id = e.session_id
         JOIN customers c ON c.id = s.customer_id
         JOIN instances i ON i.id = e.instance_id AND i.customer_id = s.customer_id
         WHERE e.token_hash = $1 AND e.expires_at > $3 AND s.expires_at > $3 AND c.disabled_at IS NULL
           AND i.hostname = $2 AND i.kind = 'dev' AND i.lifecycle = 'active'",
        token_hash.as_slice(),
        hostname,
        now,
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(|row| IdeAccess {
        instance_id: row.instance_id.into(),
        customer_id: row.customer_id.into(),
        session: Session {
            id: row.id.into(),
            customer_id: row.customer_id.into(),
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        },
    }))
}

/// Whether a cookie with this hash opens anything, whichever workspace it is.
pub async fn is_live(db: &Db, token_hash: &SecretHash, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let live = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM ide_sessions e JOIN sessions s ON s.id = e.session_id
                          WHERE e.token_hash = $1 AND e.expires_at > $2 AND s.expires_at > $2) AS "live!""#,
        token_hash.as_slice(),
        now,
    )
    .fetch_one(db.pool())
    .await?;
    Ok(live)
}

/// Notes that a workspace was used.
pub async fn note_use(db: &Db, id: InstanceId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE instances SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        id.0,
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Up to `limit` workspaces that are wanted running although neither they nor their switches were touched since
/// `before`. Across owners: for the daemon's own watch, never for a request.
pub async fn idle(db: &Db, before: DateTime<Utc>, limit: i64) -> Result<Vec<InstanceId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM instances
         WHERE kind = 'dev' AND lifecycle = 'active' AND desired_power = 'running'
           AND NOT EXISTS (SELECT 1 FROM power_requests p WHERE p.instance_id = instances.id)
           AND updated_at < $1 AND (last_used_at IS NULL OR last_used_at < $1)
         ORDER BY id LIMIT $2",
        before,
        limit,
    )
    .fetch_all(db.pool())
    .await?;
    Ok(ids.into_iter().map(InstanceId).collect())
}

/// Requests that such a workspace stops. `None` when it is in use again, or an operation is under way; otherwise it is
/// `owner`'s to deliver.
pub async fn request_idle_stop(
    db: &Db,
    id: InstanceId,
    before: DateTime<Utc>,
    by: By<'_>,
    owner: &str,
    now: DateTime<Utc>,
) -> Result<Option<power::Delivery>, StoreError> {
    let mut tx = db.pool().begin().await?;
    let stopped = sqlx::query!(
        "UPDATE instances i SET desired_power = 'stopped', updated_at = $3
         WHERE id = $1 AND kind = 'dev' AND lifecycle = 'active'
           AND desired_power = 'running'
           AND NOT EXISTS (SELECT 1 FROM power_requests p WHERE p.instance_id = i.id)
           AND updated_at < $2 AND (last_used_at IS NULL OR last_used_at < $2)
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = i.id
                           AND o.state IN ('queued', 'running', 'undoing', 'stuck'))
         RETURNING customer_id, last_used_at",
        id.0,
        before,
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(stopped) = stopped else { return Ok(None) };
    let asked = power::Asked { action: PowerAction::Stop, by: by.actor, reason: StopReason::Idle };
    let delivery = power::put(&mut tx, id, asked, Some(owner)).await?;
    let detail = json!({ "last_used_at": stopped.last_used_at });
    let entry = Entry::new(by, "instance.idle_stopped", stopped.customer_id.into(), detail);
    audit::record(&mut tx, entry.on(id)).await?;
    tx.commit().await?;
    Ok(Some(delivery))
}

/// Drops tickets and sessions whose time is over.
pub async fn forget_expired(db: &Db, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM ide_tickets WHERE expires_at <= $1", now).execute(db.pool()).await?;
    sqlx::query!("DELETE FROM ide_sessions WHERE expires_at <= $1", now).execute(db.pool()).await?;
    Ok(())
}
