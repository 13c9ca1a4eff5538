//! Filling the outbox.

use std::time::Duration;

use domain::mail::{self, Envelope};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Db, StoreError, audit::By};

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

/// Adds a notification to the caller's transaction, and wakes senders when that is committed. Its id; `None` if the channel has
/// one with this key already.
///
/// Transactions with a NOTIFY commit one after the other: not for what happens hundreds of times a second.
pub(crate) async fn enqueue(
    tx: &mut PgConnection,
    new: &NewNotification<'_>,
) -> Result<Option<Uuid>, StoreError> {
    enqueue_if(tx, new, true).await
}

/// The same, or nothing by the same statement.
async fn enqueue_if(
    tx: &mut PgConnection,
    new: &NewNotification<'_>,
    wanted: bool,
) -> Result<Option<Uuid>, StoreError> {
    let id = Uuid::now_v7();
    // Names no column that it would have to read: who fills the outbox may not.
    let added = sqlx::query!(
        "WITH added AS (
             INSERT INTO notifications (id, channel, dedupe_key, payload, expires_at)
             SELECT $1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5) WHERE $7
             ON CONFLICT DO NOTHING RETURNING true
         )
         SELECT pg_notify($6, '') FROM added",
        id,
        new.channel,
        new.dedupe_key,
        new.payload,
        new.max_age.as_secs_f64(),
        super::CHANNEL,
        wanted,
    )
    .fetch_optional(tx)
    .await?;
    Ok(added.map(|_| id))
}

/// Adds a mail to the caller's transaction. Its notification's id; `None` if there is a mail with this key already.
pub(crate) async fn enqueue_mail(
    tx: &mut PgConnection,
    envelope: &Envelope,
    dedupe_key: &str,
    max_age: Duration,
) -> Result<Option<Uuid>, StoreError> {
    enqueue_mail_if(tx, envelope, dedupe_key, max_age, true).await
}

/// The same if somebody is to get it: whether there is anybody does not show in how long that takes.
pub(crate) async fn enqueue_mail_if(
    tx: &mut PgConnection,
    envelope: &Envelope,
    dedupe_key: &str,
    max_age: Duration,
    wanted: bool,
) -> Result<Option<Uuid>, StoreError> {
    let payload = serde_json::to_value(envelope).map_err(|e| StoreError::corrupt("notifications", e))?;
    let new = NewNotification { channel: mail::CHANNEL, dedupe_key, payload: &payload, max_age };
    enqueue_if(tx, &new, wanted).await
}

/// Has a mail sent that an operator asked for, and writes down who asked. Its notification's id.
pub async fn request_mail(db: &Db, envelope: &Envelope, by: By<'_>) -> Result<Uuid, StoreError> {
    let mut tx = db.pool().begin().await?;
    let template = envelope.mail.template();
    let key = format!("{template}:{}", Uuid::now_v7());
    let id = enqueue_mail(&mut tx, envelope, &key, ASKED_FOR).await?;
    let id =
        id.ok_or_else(|| StoreError::corrupt("notifications", "a key that was just made is there already"))?;
    audit(&mut tx, by, "notification.mail_requested", &json!({ "notification": id, "template": template }))
        .await?;
    tx.commit().await?;
    Ok(id)
}

/// For how long somebody who asked for a mail looks out for it.
const ASKED_FOR: Duration = Duration::from_hours(1);

/// An audit row of something that is nobody's in particular.
pub(super) async fn audit(
    tx: &mut PgConnection,
    by: By<'_>,
    action: &str,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_log (actor, action, request_id, detail) VALUES ($1, $2, $3, $4)",
        by.actor,
        action,
        by.request_id,
        detail,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A notification of something that nothing else is written of.
pub async fn enqueue_alone(db: &Db, new: &NewNotification<'_>) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let added = enqueue(&mut tx, new).await?;
    tx.commit().await?;
    Ok(added.is_some())
}

/// Adds it in a transaction that comes to nothing.
#[cfg(feature = "testing")]
pub async fn enqueue_and_roll_back(db: &Db, new: &NewNotification<'_>) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let added = enqueue(&mut tx, new).await?;
    tx.rollback().await?;
    Ok(added.is_some())
}
