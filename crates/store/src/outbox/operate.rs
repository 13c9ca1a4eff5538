//! What operators see of the outbox, and trying again what was not sent. No payload is read here: a mail's lets people in.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::enqueue::audit;
use crate::{Db, Page, StoreError, audit::By};

/// Which notifications are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    #[default]
    All,
    /// Those that are still to be sent.
    Waiting,
    /// Those that were given up.
    Failed,
    /// Those that were sent.
    Sent,
}

impl Wanted {
    fn states(self) -> &'static [&'static str] {
        match self {
            Self::All => &["pending", "dead", "sent"],
            Self::Waiting => &["pending"],
            Self::Failed => &["dead"],
            Self::Sent => &["sent"],
        }
    }
}

/// A notification as operators see it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: Uuid,
    /// Who sends it.
    pub channel: String,
    /// What it means.
    pub dedupe_key: String,
    /// Which mail it is; `None` on other channels.
    pub template: Option<String>,
    /// The address that a mail goes to.
    pub recipient: Option<String>,
    /// `pending`, `sent` or `dead`.
    pub state: String,
    /// How often it was tried since it was put there, or since an operator had it tried again.
    pub attempts: i32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What that means, as [`super::Failure`] has it.
    pub failure: Option<String>,
    /// The receiver's code for it.
    pub code: Option<i16>,
    /// When it was put there.
    pub created_at: DateTime<Utc>,
    /// When it is tried next; `None` once it is sent or given up.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it is given up.
    pub expires_at: DateTime<Utc>,
    /// When it was sent.
    pub sent_at: Option<DateTime<Utc>>,
}

/// Notifications, newest first, and where the next page begins.
pub async fn list(db: &Db, wanted: Wanted, page: Page) -> Result<(Vec<Listed>, Option<Uuid>), StoreError> {
    let states: Vec<String> = wanted.states().iter().map(|&state| state.to_owned()).collect();
    let rows = sqlx::query_as!(
        Listed,
        r#"SELECT id, channel, dedupe_key, template, recipient, state, attempts, last_error, failure, code, created_at,
                  CASE WHEN state = 'pending' THEN run_after END AS next_try_at, expires_at, sent_at
           FROM notifications WHERE state = ANY($1) AND id < $2 ORDER BY id DESC LIMIT $3"#,
        &states,
        page.before(),
        page.fetch(),
    )
    .fetch_all(db.pool())
    .await?;
    Ok(page.cut(rows, |row: &Listed| row.id))
}

/// What became of trying a notification again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It is sent now, if it can be.
    Waiting,
    /// It was sent before: there is nothing to do.
    Sent,
}

/// Has a notification sent now that waits, or was given up. `None` if there is no such one.
pub async fn retry(db: &Db, id: Uuid, by: By<'_>) -> Result<Option<Retried>, StoreError> {
    let mut tx = db.pool().begin().await?;
    let answer = sqlx::query_scalar!("SELECT retry_notification($1)", id).fetch_one(&mut *tx).await?;
    match answer.as_deref() {
        None => return Ok(None),
        Some("sent") => return Ok(Some(Retried::Sent)),
        Some(_) => {}
    }
    audit(&mut tx, by, "notification.retry", &json!({ "notification": id })).await?;
    tx.commit().await?;
    Ok(Some(Retried::Waiting))
}
