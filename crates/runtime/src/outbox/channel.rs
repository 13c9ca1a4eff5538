//! What sends: one implementation per way to reach people.

use std::time::Duration;

use store::outbox::{Failure, Notification};

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
#[error("{cause}")]
pub struct SendError {
    /// What happened.
    pub cause: String,
    /// What that means.
    pub failure: Failure,
    /// Not to be tried again before this time, as the receiver or a rule of ours asks.
    pub retry_after: Option<Duration>,
    /// The receiver's code for it, 100 to 599.
    pub code: Option<u16>,
}

impl SendError {
    fn of(failure: Failure, cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), failure, retry_after: None, code: None }
    }

    /// It may go well another time.
    pub fn later(cause: impl Into<String>) -> Self {
        Self::of(Failure::Later, cause)
    }

    /// Nothing on the channel can be sent for now. It is not this notification's fault, and it waits.
    pub fn blocked(cause: impl Into<String>) -> Self {
        Self::of(Failure::Blocked, cause)
    }

    /// It never will go well, such as to an address that does not exist.
    pub fn never(cause: impl Into<String>) -> Self {
        Self::of(Failure::Never, cause)
    }

    /// A rule of ours is against sending it.
    pub fn dropped(cause: impl Into<String>) -> Self {
        Self::of(Failure::Dropped, cause)
    }

    /// Not to be tried again before this time.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }

    /// With the receiver's code.
    #[must_use]
    pub fn with_code(self, code: Option<u16>) -> Self {
        Self { code, ..self }
    }
}
