//! The outbox's sender: the one loop that brings to people what the rows in `store::outbox` say.
//!
//! Each channel has slots of its own, so that one that is slow or away holds up no other. A sender claims only as many
//! notifications as it has free slots, and a send ends before its lease does: while a lease holds nobody else sends.

mod backoff;
mod channel;
mod deliver;
mod gate;
mod wake;

use std::{sync::Arc, time::Duration};

use store::{Db, outbox};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

pub use channel::{Channel, SendError};
use deliver::Delivery;
use gate::Gate;
use wake::Wake;

/// What may be chosen; the defaults suit every daemon.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often the outbox is looked at when nothing is heard: for what is tried again, and while NOTIFY fails.
    pub tick: Duration,
    /// Notifications sent at once on each channel.
    pub concurrency: usize,
    /// How long one send may take.
    pub deadline: Duration,
    /// How often one is tried while nothing on its channel can be sent.
    pub blocked_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(5),
            concurrency: 4,
            deadline: Duration::from_secs(30),
            blocked_pause: Duration::from_secs(30),
        }
    }
}

/// A sender.
pub struct Sender {
    db: Db,
    owner: String,
    channels: Vec<Slots>,
    settings: Settings,
}

struct Slots {
    channel: Arc<dyn Channel>,
    free: Arc<Semaphore>,
    gate: Arc<Gate>,
}

impl Sender {
    /// Sends by these channels. `owner` names the process in its leases, for people.
    pub fn new(
        db: Db,
        owner: impl Into<String>,
        channels: impl IntoIterator<Item = Arc<dyn Channel>>,
        settings: Settings,
    ) -> Self {
        let slots = |channel| Slots {
            channel,
            free: Arc::new(Semaphore::new(settings.concurrency)),
            gate: Arc::default(),
        };
        Self { db, owner: owner.into(), channels: channels.into_iter().map(slots).collect(), settings }
    }

    /// Claims what is due, as far as slots are free, and begins to send it.
    async fn fill(&self, sending: &mut JoinSet<()>) {
        for Slots { channel, free, gate } in &self.channels {
            let limit = gate.lets_through(free.available_permits());
            if limit == 0 {
                continue;
            }
            let lease = deliver::lease(self.settings.deadline);
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let claims = outbox::claim_batch(&self.db, &self.owner, channel.name(), limit, lease).await;
            let claims = match claims {
                Ok(claims) => claims,
                Err(error) => {
                    let (channel, tick) = (channel.name(), self.settings.tick);
                    tracing::warn!(
                        channel,
                        error = ?error,
                        "the outbox cannot be read: nothing is sent by {channel}, and nothing is lost; the next look \
                         follows in {tick:?}"
                    );
                    continue;
                }
            };
            for claim in claims {
                // Nobody else takes permits: there are as many as were counted.
                let Ok(slot) = Arc::clone(free).try_acquire_owned() else { continue };
                let delivery = Delivery::new(
                    self.db.clone(),
                    Arc::clone(channel),
                    Arc::clone(gate),
                    claim,
                    self.settings,
                );
                sending.spawn(async move {
                    delivery.run().await;
                    drop(slot);
                });
            }
        }
    }

    /// How much waits, for metrics.
    async fn measure(&self) {
        let backlog = match outbox::backlog(&self.db).await {
            Ok(backlog) => backlog,
            Err(error) => {
                tracing::debug!(error = ?error, "what waits in the outbox could not be counted");
                return;
            }
        };
        for Slots { channel, .. } in &self.channels {
            let waiting = backlog.iter().find(|waiting| waiting.channel == channel.name());
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            let pending = waiting.map_or(0.0, |waiting| waiting.pending as f64);
            let oldest = waiting.map_or(0.0, |waiting| waiting.oldest_seconds);
            metrics::gauge!("zlh_notifications_pending", "channel" => channel.name()).set(pending);
            metrics::gauge!("zlh_notifications_oldest_seconds", "channel" => channel.name()).set(oldest);
        }
    }
}

/// Sends until the shutdown, and ends when what is being sent has ended.
pub async fn run(sender: Sender, mut beat: impl FnMut(), shutdown: CancellationToken) {
    let mut sending = JoinSet::new();
    let mut ticks = interval(sender.settings.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let wake = Wake::spawn(sender.db.clone(), sender.settings.tick);
    loop {
        beat();
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = ticks.tick() => sender.measure().await,
            () = wake.filled() => {}
            Some(ended) = sending.join_next() => report(ended),
        }
        sender.fill(&mut sending).await;
    }
    while let Some(ended) = sending.join_next().await {
        beat();
        report(ended);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "sending a notification panicked; it is tried again when its lease has ended");
    }
}
