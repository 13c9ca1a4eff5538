//! One notification: sent, tried again later, or given up, and written down as that.

use std::{sync::Arc, time::Duration};

use store::{
    Db, StoreError,
    outbox::{self, Claim},
};
use tokio::time::{Instant, sleep, timeout};

use super::{Channel, SendError, backoff};

/// By how much a lease is longer than a send: what it may take to write down how it went.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Pause between two tries to write down how it went.
const MARK_PAUSE: Duration = Duration::from_secs(1);

/// How long a notification is its sender's, if a send takes at most `deadline`.
pub(super) fn lease(deadline: Duration) -> Duration {
    deadline + LEASE_MARGIN
}

/// A claimed notification and its channel.
pub(super) struct Delivery {
    db: Db,
    channel: Arc<dyn Channel>,
    claim: Claim,
    deadline: Duration,
    /// When the lease was surely in force.
    claimed: Instant,
}

enum Outcome {
    Sent,
    Later { error: String, pause: Duration },
    Dead { error: String },
}

impl Delivery {
    pub(super) fn new(db: Db, channel: Arc<dyn Channel>, claim: Claim, deadline: Duration) -> Self {
        Self { db, channel, claim, deadline, claimed: Instant::now() }
    }

    pub(super) async fn run(self) {
        let outcome = self.send().await;
        self.count_and_log(&outcome);
        self.mark(&outcome).await;
    }

    async fn send(&self) -> Outcome {
        let notification = &self.claim.notification;
        if self.claim.expired {
            let last = self.claim.last_error.as_deref().unwrap_or("nothing could be sent all that time");
            return Outcome::Dead { error: format!("too old; the last error: {last}") };
        }
        let late = || SendError::Transient {
            cause: format!("no answer within {:?}", self.deadline),
            retry_after: None,
        };
        let sent = timeout(self.deadline, self.channel.send(notification)).await;
        match sent.unwrap_or_else(|_| Err(late())) {
            Ok(()) => Outcome::Sent,
            Err(SendError::Permanent(error)) => Outcome::Dead { error },
            Err(SendError::Transient { cause, retry_after }) => {
                let pause = backoff::pause(notification.attempts, retry_after, rand::random());
                Outcome::Later { error: cause, pause }
            }
        }
    }

    fn count_and_log(&self, outcome: &Outcome) {
        let (it, channel) = (&self.claim.notification, self.channel.name());
        let (id, key, attempt) = (it.id, &it.dedupe_key, it.attempts);
        match outcome {
            Outcome::Sent => {
                metrics::counter!("zlh_notifications_sent_total", "channel" => channel).increment(1);
                tracing::info!(notification = %id, channel, attempt, "sent {key} by {channel}, at attempt {attempt}");
            }
            Outcome::Later { error, pause } => {
                metrics::counter!("zlh_notifications_failed_total", "channel" => channel).increment(1);
                let seconds = pause.as_secs();
                tracing::warn!(
                    notification = %id, channel, attempt, error,
                    "{key} could not be sent by {channel} at attempt {attempt} ({error}); it is tried again in {seconds} s"
                );
            }
            Outcome::Dead { error } => {
                metrics::counter!("zlh_notifications_dead_total", "channel" => channel).increment(1);
                tracing::error!(
                    notification = %id, channel, attempt, error,
                    "{key} is given up after {attempt} attempts by {channel} ({error}): whoever it was for is not told. \
                     What it said stays in row {id} of notifications"
                );
            }
        }
    }

    /// Tries for as long as the lease holds: what was sent and is not written down is sent again.
    async fn mark(&self, outcome: &Outcome) {
        let (id, until) = (self.claim.notification.id, self.claimed + lease(self.deadline));
        loop {
            let error = match self.try_mark(outcome).await {
                Ok(()) => return,
                Err(StoreError::LeaseLost) => {
                    tracing::warn!(
                        notification = %id,
                        "another sender has taken notification {id} over before it was written down how sending it went: \
                         it may be sent twice"
                    );
                    return;
                }
                Err(error) => error,
            };
            if Instant::now() + MARK_PAUSE > until {
                tracing::error!(
                    notification = %id, error = ?error,
                    "how sending notification {id} went could not be written down: it is sent again, perhaps twice"
                );
                return;
            }
            sleep(MARK_PAUSE).await;
        }
    }

    async fn try_mark(&self, outcome: &Outcome) -> Result<(), StoreError> {
        let (db, lease) = (&self.db, &self.claim.lease);
        match outcome {
            Outcome::Sent => outbox::mark_sent(db, lease).await,
            Outcome::Later { error, pause } => outbox::retry_later(db, lease, error, *pause).await,
            Outcome::Dead { error } => outbox::mark_dead(db, lease, error).await,
        }
    }
}
