//! One job: a slot, a claim, and the work in a task of its own.

use std::sync::Arc;

use store::queue::OnJob;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{Ended, GRACE, Handler, IdOf, LeasedRows, RowsOf, SlotOf, WorkerSlots, keep};

/// What every job of a worker shares.
pub(super) struct Worker<H: Handler> {
    pub(super) handler: Arc<H>,
    pub(super) slots: WorkerSlots<IdOf<H>, SlotOf<H>>,
    pub(super) owner: Arc<str>,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

impl<H: Handler> Worker<H> {
    /// What answers a job: finds a free slot, claims, and lets the work run by itself, so that a job is short whatever the
    /// work takes, and nothing of the queue's fate can touch it.
    pub(super) fn on_job(self) -> OnJob<IdOf<H>> {
        let worker = Arc::new(self);
        Arc::new(move |id| {
            let worker = Arc::clone(&worker);
            Box::pin(async move { worker.take(id).await })
        })
    }

    async fn take(self: &Arc<Self>, id: IdOf<H>) {
        let noun = RowsOf::<H>::NOUN;
        let slot = match self.handler.rows().slot(id).await {
            Ok(Some(slot)) => slot,
            Ok(None) => {
                return tracing::warn!(%id, "a job names {noun} {id}, which does not exist; it is dropped");
            }
            Err(error) => {
                return tracing::warn!(%id, ?error, "{noun} {id} could not be read; the sweep enqueues it again");
            }
        };
        let Some(permit) = self.slots.take(id, slot).await else {
            return tracing::debug!(%id, ?slot, "no free slot for {noun} {id}; the sweep enqueues it again");
        };
        if self.shutdown.is_cancelled() {
            return;
        }
        match self.handler.rows().claim(id, &self.owner).await {
            Ok(Some(claim)) => {
                let worker = Arc::clone(self);
                self.tasks.spawn(async move {
                    worker.work(&claim).await;
                    drop(permit);
                });
            }
            Ok(None) => tracing::debug!(%id, "{noun} {id} is not due, or it is another worker's"),
            Err(error) => {
                tracing::warn!(%id, ?error, "{noun} {id} could not be claimed; the sweep enqueues it again");
            }
        }
    }

    async fn work(&self, claim: &<RowsOf<H> as LeasedRows>::Claim) {
        run(&*self.handler, claim, &self.shutdown).instrument(self.handler.span(claim)).await;
    }
}

/// Works on a claimed row under its lease, and lets go of it when the shutdown comes first.
async fn run<H: Handler>(
    handler: &H,
    claim: &<RowsOf<H> as LeasedRows>::Claim,
    shutdown: &CancellationToken,
) {
    let started = Instant::now();
    let ended = tokio::select! {
        ended = handler.work(claim, shutdown) => ended,
        () = keep::keep(handler.rows(), claim) => Ended::LeaseLost,
        () = grace(shutdown) => Ended::Interrupted,
    };
    if matches!(ended, Ended::Interrupted)
        && let Err(error) = handler.rows().release(claim).await
    {
        tracing::warn!(?error, "the lease could not be released; another worker goes on when it has run out");
    }
    handler.report(claim, &ended, started.elapsed());
}

async fn grace(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Claims one row and works on it to its end, without a queue: for tests. `false` if it could not be claimed.
pub async fn work_once<H: Handler>(
    handler: &H,
    id: IdOf<H>,
    owner: &str,
    shutdown: &CancellationToken,
) -> Result<bool, store::StoreError> {
    let Some(claim) = handler.rows().claim(id, owner).await? else { return Ok(false) };
    run(handler, &claim, shutdown).instrument(handler.span(&claim)).await;
    Ok(true)
}
