//! Filling the outbox.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Db, StoreError};

/// For how long a notification is worth sending unless it says otherwise: three days.
pub const MAX_AGE: Duration = Duration::from_hours(72);

/// What is to be told.
#[derive(Clone, Copy, Debug)]
pub struct NewNotification<'a> {
    /// Who sends it: a channel's name.
    pub channel: &'a str,
    /// What it means, such as `server-created:{operation}`, 1–255 characters: told once on its channel.
    pub dedupe_key: &'a str,
    /// For the channel.
    pub payload: &'a serde_json::Value,
    /// After which time it is not sent any more, usually [`MAX_AGE`].
    pub max_age: Duration,
}

/// Adds a notification to the caller's transaction, and wakes senders when that is committed. `false` if the channel has
/// one with this key already.
///
/// Transactions with a NOTIFY commit one after the other: not for what happens hundreds of times a second.
pub(crate) async fn enqueue(tx: &mut PgConnection, new: &NewNotification<'_>) -> Result<bool, StoreError> {
    // Names no column that it would have to read: who fills the outbox may not.
    let added = sqlx::query!(
        "WITH added AS (
             INSERT INTO notifications (id, channel, dedupe_key, payload, expires_at)
             VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
             ON CONFLICT DO NOTHING RETURNING true
         )
         SELECT pg_notify($6, '') FROM added",
        Uuid::now_v7(),
        new.channel,
        new.dedupe_key,
        new.payload,
        new.max_age.as_secs_f64(),
        super::CHANNEL,
    )
    .fetch_optional(tx)
    .await?;
    Ok(added.is_some())
}

/// A notification of something that nothing else is written of.
pub async fn enqueue_alone(db: &Db, new: &NewNotification<'_>) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let added = enqueue(&mut tx, new).await?;
    tx.commit().await?;
    Ok(added)
}

/// Adds it in a transaction that comes to nothing.
#[cfg(feature = "testing")]
pub async fn enqueue_and_roll_back(db: &Db, new: &NewNotification<'_>) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let added = enqueue(&mut tx, new).await?;
    tx.rollback().await?;
    Ok(added)
}
