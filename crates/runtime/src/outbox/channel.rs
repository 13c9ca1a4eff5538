//! What sends: one implementation per way to reach people.

use std::time::Duration;

use store::outbox::Notification;

/// A way to reach people.
#[async_trait::async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Its name in the rows.
    fn name(&self) -> &'static str;

    /// Sends one notification. May be given one that was sent before, if a sender died: where the receiver can tell
    /// repeats, it is told the notification's id.
    async fn send(&self, notification: &Notification) -> Result<(), SendError>;
}

/// Why a notification was not sent. The text is stored and logged: no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may go well another time.
    #[error("{cause}")]
    Transient {
        /// What happened.
        cause: String,
        /// Not before this time, as the receiver asked.
        retry_after: Option<Duration>,
    },
    /// It never will, such as an address that does not exist.
    #[error("{0}")]
    Permanent(String),
}
