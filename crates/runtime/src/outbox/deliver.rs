//! One notification: sent, tried again later, or given up, and written down as that.

use std::{sync::Arc, time::Duration};

use store::{
    Db, StoreError,
    outbox::{self, Claim, Failure, NotSent},
};
use tokio::time::{Instant, sleep, timeout};

use super::{Channel, SendError, Settings, backoff, gate::Gate};

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
    gate: Arc<Gate>,
    claim: Claim,
    settings: Settings,
    /// When the lease was surely in force.
    claimed: Instant,
}

enum Outcome {
    Sent,
    Later { error: SendError, pause: Duration },
    Dead { error: SendError },
}

impl Delivery {
    pub(super) fn new(
        db: Db,
        channel: Arc<dyn Channel>,
        gate: Arc<Gate>,
        claim: Claim,
        settings: Settings,
    ) -> Self {
        Self { db, channel, gate, claim, settings, claimed: Instant::now() }
    }

    pub(super) async fn run(self) {
        let outcome = self.send().await;
        self.turn_gate(&outcome);
        self.count_and_log(&outcome);
        self.mark(&outcome).await;
    }

    async fn send(&self) -> Outcome {
        let notification = &self.claim.notification;
        if self.claim.expired {
            let last = self.claim.last_error.as_deref().unwrap_or("nothing could be sent all that time");
            return Outcome::Dead { error: SendError::never(format!("too old; the last error: {last}")) };
        }
        let deadline = self.settings.deadline;
        let late = || SendError::later(format!("no answer within {deadline:?}"));
        let sent = timeout(deadline, self.channel.send(notification)).await;
        let Err(error) = sent.unwrap_or_else(|_| Err(late())) else { return Outcome::Sent };
        match error.failure {
            Failure::Never | Failure::Dropped => Outcome::Dead { error },
            Failure::Blocked => {
                let pause = backoff::pause_of_blocked(self.settings.blocked_pause, rand::random());
                Outcome::Later { error, pause }
            }
            Failure::Later => {
                let pause = backoff::pause(notification.attempts, error.retry_after, rand::random());
                Outcome::Later { error, pause }
            }
        }
    }

    /// While nothing can be sent, one at a time is tried: a login that is refused is not to be tried for each of thousands.
    fn turn_gate(&self, outcome: &Outcome) {
        let channel = self.channel.name();
        match outcome {
            Outcome::Later { error, .. } if error.failure == Failure::Blocked => {
                let pause = self.settings.blocked_pause;
                if self.gate.close_for(pause) {
                    tracing::error!(
                        channel,
                        cause = error.cause,
                        "nothing can be sent by {channel}: {}. Everything waits, nothing is lost, and one notification is tried \
                         every {pause:?} until it works",
                        error.cause
                    );
                }
            }
            // Nothing was tried.
            _ if self.claim.expired => return,
            _ => {
                if self.gate.open(self.claimed) {
                    tracing::info!(channel, "{channel} works again: what waited is sent");
                }
            }
        }
        metrics::gauge!("zlh_notifications_blocked", "channel" => channel).set(if self.gate.is_closed() {
            1.0
        } else {
            0.0
        });
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
                let error = &error.cause;
                metrics::counter!("zlh_notifications_failed_total", "channel" => channel).increment(1);
                let seconds = pause.as_secs();
                tracing::warn!(
                    notification = %id, channel, attempt, error,
                    "{key} could not be sent by {channel} at attempt {attempt} ({error}); it is tried again in {seconds} s"
                );
            }
            Outcome::Dead { error } if error.failure == Failure::Dropped => {
                let cause = &error.cause;
                metrics::counter!("zlh_notifications_dropped_total", "channel" => channel).increment(1);
                tracing::warn!(notification = %id, channel, attempt, cause, "{key} is not sent by {channel}: {cause}");
            }
            Outcome::Dead { error } => {
                let error = &error.cause;
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
        let (id, until) = (self.claim.notification.id, self.claimed + lease(self.settings.deadline));
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
            Outcome::Later { error, pause } => outbox::retry_later(db, lease, &not_sent(error), *pause).await,
            Outcome::Dead { error } => outbox::mark_dead(db, lease, &not_sent(error)).await,
        }
    }
}

fn not_sent(error: &SendError) -> NotSent<'_> {
    NotSent { failure: error.failure, error: &error.cause, code: error.code }
}
