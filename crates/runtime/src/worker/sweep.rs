//! The sweep: enqueues again what was committed and is held by nobody, and measures it.

use std::{sync::Arc, time::Duration};

use domain::lease::SWEEP_SECONDS;
use store::{StoreError, queue::Queue};
use tokio_util::sync::CancellationToken;

use super::{Handler, IdOf, LeasedRows};
use crate::{daemon::Context, systemd::Heartbeat};

/// Jobs that one sweep enqueues; more than about 8,000 due jobs at once break apalis-redis (Lua `unpack`).
const SWEEP_LIMIT: i64 = 500;

/// Sweeps between two removals of finished jobs from Redis.
const SWEEPS_PER_VACUUM: u32 = 300;

/// Longest silence of the sweep before the watchdog lets systemd restart the daemon.
const SILENCE: Duration = Duration::from_mins(1);

/// Work that waits for a worker. The queue itself has no timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Rows that are due and that nobody has claimed.
    pub due: i64,
    /// Age of the oldest of them in seconds.
    pub oldest_seconds: f64,
    /// Rows that need a person.
    pub stuck: i64,
}

/// Sweeps until the shutdown.
pub(super) fn start<H: Handler>(context: &Context, handler: Arc<H>, queue: Queue<IdOf<H>>) {
    let (heartbeat, shutdown) = (context.heartbeat("sweep", SILENCE), context.shutdown());
    context.spawn_service("sweep", async move {
        sweep(handler.rows(), &queue, &heartbeat, &shutdown).await;
        Ok(())
    });
}

async fn sweep<R: LeasedRows>(
    rows: &R,
    queue: &Queue<R::Id>,
    heartbeat: &Heartbeat,
    shutdown: &CancellationToken,
) {
    let mut tick = tokio::time::interval(Duration::from_secs(SWEEP_SECONDS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sweeps: u32 = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        heartbeat.beat();
        if let Err(error) = sweep_once(rows, queue).await {
            tracing::warn!(?error, "lost jobs could not be looked for; the next sweep follows");
        }
        sweeps = sweeps.wrapping_add(1);
        if sweeps.is_multiple_of(SWEEPS_PER_VACUUM)
            && let Err(error) = queue.sweep_finished().await
        {
            tracing::warn!(?error, "finished jobs were not removed from the queue; they are later");
        }
    }
}

/// Enqueues only what the queue does not have already, so that a long queue does not grow by being swept; what waits for
/// a slot in a worker is enqueued once more, and goes on waiting.
async fn sweep_once<R: LeasedRows>(rows: &R, queue: &Queue<R::Id>) -> Result<(), StoreError> {
    let backlog = rows.backlog().await?;
    measure(&backlog, queue.name().as_str());
    if backlog.due == 0 {
        return Ok(());
    }
    let missing = backlog.due - queue.depth().await?;
    if missing > 0 {
        let unclaimed = rows.take_unclaimed(missing.min(SWEEP_LIMIT)).await?;
        if !unclaimed.is_empty() {
            let count = unclaimed.len();
            tracing::info!(
                count,
                "{count} {}s are due and no worker holds them; enqueueing them again",
                R::NOUN
            );
            queue.push(&unclaimed).await?;
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of a count far below 2^52")]
fn measure(backlog: &Backlog, queue: &'static str) {
    metrics::gauge!("zlh_queue_due", "queue" => queue).set(backlog.due as f64);
    metrics::gauge!("zlh_queue_due_oldest_seconds", "queue" => queue).set(backlog.oldest_seconds);
    metrics::gauge!("zlh_queue_stuck", "queue" => queue).set(backlog.stuck as f64);
}
