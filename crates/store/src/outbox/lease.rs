//! Sending: who has a notification, and what became of it. Timed by the database's clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::text::foreign;
use uuid::Uuid;

use crate::{Db, StoreError, operations::held};

/// What a channel sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its id, the same at each attempt: for receivers that can tell a repeat by it.
    pub id: Uuid,
    /// Who sends it.
    pub channel: String,
    /// What it means.
    pub dedupe_key: String,
    /// What is sent.
    pub payload: serde_json::Value,
    /// Which attempt this is, from 1.
    pub attempts: i32,
    /// When what it tells of happened.
    pub created_at: DateTime<Utc>,
}

/// Proof of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    id: Uuid,
    term: i64,
}

/// A notification that this sender now holds.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The proof.
    pub lease: Lease,
    /// What is to be sent.
    pub notification: Notification,
    /// It is too old: not to be sent, but to be [given up](mark_dead).
    pub expired: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Claims up to `limit` notifications of a channel that are due and that nobody holds, those due longest first. Two senders
/// get different ones.
pub async fn claim_batch(
    db: &Db,
    owner: &str,
    channel: &str,
    limit: i64,
    lease: Duration,
) -> Result<Vec<Claim>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE notifications SET lease_owner = $1, lease_term = lease_term + 1, attempts = attempts + 1,
                  lease_expires_at = clock_timestamp() + make_interval(secs => $4)
           WHERE id IN (
               SELECT id FROM notifications
               WHERE state = 'pending' AND channel = $2 AND run_after <= clock_timestamp()
                 AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
               ORDER BY run_after, id LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING id, channel, dedupe_key, payload, attempts, created_at, lease_term, last_error,
                     expires_at <= clock_timestamp() AS "expired!""#,
        owner,
        channel,
        limit,
        lease.as_secs_f64(),
    )
    .fetch_all(db.pool())
    .await?;
    let claims = rows.into_iter().map(|row| Claim {
        lease: Lease { id: row.id, term: row.lease_term },
        notification: Notification {
            id: row.id,
            channel: row.channel,
            dedupe_key: row.dedupe_key,
            payload: row.payload,
            attempts: row.attempts,
            created_at: row.created_at,
        },
        expired: row.expired,
        last_error: row.last_error,
    });
    Ok(claims.collect())
}

/// It was sent. What lets somebody in is not needed here any more, and forgotten.
pub async fn mark_sent(db: &Db, lease: &Lease) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE notifications SET state = 'sent', sent_at = clock_timestamp(), payload = payload - 'token',
                failure = NULL, code = NULL, blocked_since = NULL, lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        lease.id,
        lease.term,
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// Why a notification was not sent.
#[derive(Clone, Copy, Debug)]
pub struct NotSent<'a> {
    /// What that means.
    pub failure: Failure,
    /// What happened, for operators.
    pub error: &'a str,
    /// The receiver's code, 100 to 599, such as SMTP's 550.
    pub code: Option<u16>,
}

/// What it means that a notification was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This one may go well another time.
    Later,
    /// Nothing on the channel can be sent for now: the receiver is away, or does not take anything from us.
    Blocked,
    /// This one never will, such as one to an address that does not exist.
    Never,
    /// A rule of ours is against sending it.
    Dropped,
}

impl Failure {
    /// As rows have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Later => "later",
            Self::Blocked => "blocked",
            Self::Never => "never",
            Self::Dropped => "dropped",
        }
    }
}

impl NotSent<'_> {
    fn code(&self) -> Option<i16> {
        self.code.and_then(|code| i16::try_from(code).ok()).filter(|code| (100..=599).contains(code))
    }
}

/// It was not sent, and is tried again after `delay`, or as soon as it is too old, to be given up.
pub async fn retry_later(
    db: &Db,
    lease: &Lease,
    why: &NotSent<'_>,
    delay: Duration,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE notifications SET last_error = $3, failure = $5, code = $6, lease_owner = NULL, lease_expires_at = NULL,
                blocked_since = CASE WHEN $5 = 'blocked' THEN COALESCE(blocked_since, clock_timestamp()) END,
                run_after = LEAST(clock_timestamp() + make_interval(secs => $4), expires_at)
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        lease.id,
        lease.term,
        foreign(why.error),
        delay.as_secs_f64(),
        why.failure.as_str(),
        why.code(),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// It is given up: nobody sends it any more.
pub async fn mark_dead(db: &Db, lease: &Lease, why: &NotSent<'_>) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE notifications SET state = 'dead', last_error = $3, failure = $4, code = $5, lease_owner = NULL,
                lease_expires_at = NULL, blocked_since = CASE WHEN $4 = 'blocked' THEN blocked_since END
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        lease.id,
        lease.term,
        foreign(why.error),
        why.failure.as_str(),
        why.code(),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}
