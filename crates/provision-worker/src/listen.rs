//! When to work: a ring of the queue, and the sweep that finds what the queue lost.

use std::{sync::Arc, time::Duration};

use domain::operation::{OperationKind, SWEEP_SECONDS};
use futures_util::future::BoxFuture;
use runtime::systemd::Heartbeat;
use store::{
    Db, StoreError, operations,
    queue::{OnRing, Queue},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::runner::Runner;

/// Rings that one sweep sends; more than about 8,000 due jobs at once break apalis-redis (Lua `unpack`).
const SWEEP_LIMIT: i64 = 500;

/// Sweeps between two removals of finished jobs from Redis.
const SWEEPS_PER_VACUUM: u32 = 300;

/// How much is worked on at once. What moves backups takes hours: it has places of its own, so that a create does not
/// wait for it.
#[derive(Clone, Debug)]
pub struct Places {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

impl Places {
    /// So many creates and deletes, and so many operations on backups.
    pub fn new(short: usize, long: usize) -> Self {
        Self { short: Arc::new(Semaphore::new(short)), long: Arc::new(Semaphore::new(long)) }
    }

    /// A place for an operation of this kind. A short one is waited for, since it is free soon; without a long one the
    /// operation is left to a later sweep, so that nothing waits behind it.
    async fn take(&self, kind: OperationKind) -> Option<OwnedSemaphorePermit> {
        match kind {
            OperationKind::Create | OperationKind::Delete => self.short.clone().acquire_owned().await.ok(),
            OperationKind::Backup | OperationKind::Restore | OperationKind::Verify => {
                self.long.clone().try_acquire_owned().ok()
            }
        }
    }
}

/// What answers a ring: finds a free place, claims, and lets the operation run by itself, so that a job is short
/// whatever the operation takes, and nothing of the queue's fate can touch it.
pub fn on_ring(runner: Runner, places: Places, tasks: TaskTracker, shutdown: CancellationToken) -> OnRing {
    Arc::new(move |id| -> BoxFuture<'static, ()> {
        let (runner, places, tasks, shutdown) =
            (runner.clone(), places.clone(), tasks.clone(), shutdown.clone());
        Box::pin(async move {
            let kind = match runner.kind(id).await {
                Ok(Some(kind)) => kind,
                Ok(None) => {
                    return tracing::warn!(operation = %id, "rung for, but there is no such operation");
                }
                Err(error) => {
                    return tracing::warn!(operation = %id, error = ?error, "not read; the sweep will ring again");
                }
            };
            let Some(place) = places.take(kind).await else {
                return tracing::debug!(operation = %id, %kind, "no free place; the sweep will ring again");
            };
            if shutdown.is_cancelled() {
                return;
            }
            match runner.claim(id).await {
                Ok(Some(claim)) => {
                    tasks.spawn(async move {
                        runner.run(claim, &shutdown).await;
                        drop(place);
                    });
                }
                Ok(None) => tracing::debug!(operation = %id, "rung for, but not due or not free"),
                Err(error) => {
                    tracing::warn!(operation = %id, error = ?error, "not claimed; the sweep will ring again");
                }
            }
        })
    })
}

/// Rings again for what was committed and is held by nobody, and measures it. Until the shutdown.
pub async fn sweep(db: Db, queue: Queue, heartbeat: Heartbeat, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(SWEEP_SECONDS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sweeps: u32 = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        heartbeat.beat();
        if let Err(error) = sweep_once(&db, &queue).await {
            tracing::warn!(error = ?error, "the sweep failed; the next one follows");
        }
        sweeps = sweeps.wrapping_add(1);
        if sweeps.is_multiple_of(SWEEPS_PER_VACUUM)
            && let Err(error) = queue.sweep_finished().await
        {
            tracing::warn!(error = ?error, "finished jobs were not removed from the queue");
        }
    }
}

/// Rings only for what the queue does not have already, so that a long queue does not grow by being swept.
async fn sweep_once(db: &Db, queue: &Queue) -> Result<(), StoreError> {
    let backlog = operations::backlog(db).await?;
    measure(&backlog);
    if backlog.due == 0 {
        return Ok(());
    }
    let missing = backlog.due - queue.depth().await?;
    if missing > 0 {
        let unheld = operations::take_unheld(db, missing.min(SWEEP_LIMIT)).await?;
        if !unheld.is_empty() {
            tracing::info!(count = unheld.len(), "ringing again for operations that nobody holds");
            queue.push(&unheld).await?;
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of a count far below 2^52")]
fn measure(backlog: &operations::Backlog) {
    metrics::gauge!("zlh_operations_due").set(backlog.due as f64);
    metrics::gauge!("zlh_operations_due_oldest_seconds").set(backlog.oldest_seconds);
    metrics::gauge!("zlh_operations_stuck").set(backlog.stuck as f64);
}
