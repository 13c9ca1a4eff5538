//! When to work: a ring of the queue, and the sweep that finds what the queue lost.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{
    ids::OperationId,
    operation::{OperationKind, SWEEP_SECONDS},
};
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

/// Most creates and deletes that wait in one worker. What waits is a job that the queue counts as begun, and a successor
/// takes all of those over at once: the same bound as a sweep's.
const MOST_WAITING: usize = 256;

/// How much is worked on at once. What moves backups takes hours: it has places of its own, so that a create does not
/// wait for it.
#[derive(Clone, Debug)]
pub struct Places {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// What waits for a short place.
    waiting: Arc<Mutex<HashSet<OperationId>>>,
}

impl Places {
    /// So many creates and deletes, and so many operations on backups.
    pub fn new(short: usize, long: usize) -> Self {
        Self {
            short: Arc::new(Semaphore::new(short)),
            long: Arc::new(Semaphore::new(long)),
            waiting: Arc::default(),
        }
    }

    /// A place for an operation of this kind. A short one is waited for, since it is free soon; without a long one the
    /// operation is left to a later sweep, so that nothing waits behind it. So is one for which a ring waits already:
    /// the queue does not know of it any more, and sweeps ring again and again.
    async fn take(&self, id: OperationId, kind: OperationKind) -> Option<OwnedSemaphorePermit> {
        match kind {
            OperationKind::Create | OperationKind::Delete => {
                if let Ok(place) = self.short.clone().try_acquire_owned() {
                    return Some(place);
                }
                let _waiting = Waiting::begin(&self.waiting, id)?;
                self.short.clone().acquire_owned().await.ok()
            }
            OperationKind::Backup | OperationKind::Restore | OperationKind::Verify => {
                self.long.clone().try_acquire_owned().ok()
            }
        }
    }
}

/// One operation that waits; until this is dropped.
struct Waiting<'a> {
    all: &'a Mutex<HashSet<OperationId>>,
    id: OperationId,
}

impl<'a> Waiting<'a> {
    /// `None` if it waits already, or too many do.
    fn begin(all: &'a Mutex<HashSet<OperationId>>, id: OperationId) -> Option<Self> {
        let mut waiting = all.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only then: what is dropped here would take the place of the one that waits.
        (waiting.len() < MOST_WAITING && waiting.insert(id)).then(|| Self { all, id })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
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
            let Some(place) = places.take(id, kind).await else {
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

/// Rings only for what the queue does not have already, so that a long queue does not grow by being swept; what waits for
/// a place in a worker hears its ring and goes on waiting.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_for_what_waits_already_does_not_wait_too() {
        let places = Places::new(1, 1);
        let take = |id, kind| {
            let places = places.clone();
            tokio::spawn(async move { places.take(id, kind).await })
        };
        let (first, second) = (OperationId::generate(), OperationId::generate());
        let place = take(first, OperationKind::Create).await.unwrap();
        let waits = take(second, OperationKind::Delete);
        while places.waiting.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(take(second, OperationKind::Delete).await.unwrap().is_none());
        drop(place);
        assert!(waits.await.unwrap().is_some());
        assert!(places.waiting.lock().unwrap().is_empty());
    }

    #[test]
    fn only_so_many_wait() {
        let all = Mutex::default();
        let waiting: Vec<_> =
            (0..=MOST_WAITING).map_while(|_| Waiting::begin(&all, OperationId::generate())).collect();
        assert_eq!(waiting.len(), MOST_WAITING);
    }
}
