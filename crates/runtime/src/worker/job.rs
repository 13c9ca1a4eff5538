//! Work: a job says that there is some, the rows say which is next, and each is done in a task of its own.

use std::sync::Arc;

use store::queue::OnJob;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    ClaimOf, Ended, GRACE, Handler, IdOf, LeasedRows, Place, RowsOf, SlotOf, WorkerSlots, keep, slots::Class,
};

/// How often in a row another worker may be the quicker one before the next job is waited for.
const LOST_RACES: u32 = 8;

/// What every job of a worker shares.
pub(super) struct Worker<H: Handler> {
    pub(super) handler: Arc<H>,
    pub(super) slots: WorkerSlots<SlotOf<H>>,
    pub(super) owner: Arc<str>,
    pub(super) queue: &'static str,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

impl<H: Handler> Worker<H> {
    /// What answers a job: it lets the rows be looked at. Which one is next is theirs to say, so that a customer's
    /// hundred jobs are not before another's one; and a job is short whatever the work takes.
    pub(super) fn on_job(self: &Arc<Self>) -> OnJob<IdOf<H>> {
        let worker = Arc::clone(self);
        Arc::new(move |id| {
            let worker = Arc::clone(&worker);
            Box::pin(async move { worker.look(id).await })
        })
    }

    async fn look(&self, id: IdOf<H>) {
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
        if let Some(class) = self.slots.class(slot) {
            class.look.notify_one();
        }
    }

    /// Works on one class of rows until dropped: whenever there is a place, on the row that is next.
    pub(super) async fn serve(self: Arc<Self>, slot: SlotOf<H>, class: Arc<Class>) {
        loop {
            // Never closed; and what is claimed is bounded before a place is taken, since whoever waits holds none.
            let Ok(under_way) = Arc::clone(&class.under_way).acquire_owned().await else { return };
            let (claim, place) = self.next(slot, &class).await;
            self.spawn(claim, place, under_way, Arc::clone(&class));
        }
    }

    /// The next row, and a place for it. The place is given back while there is none.
    async fn next(&self, slot: SlotOf<H>, class: &Class) -> (ClaimOf<H>, Place) {
        loop {
            let place = Place::among(&class.places).await;
            if let Some(claim) = self.claim_next(slot).await {
                return (claim, place);
            }
            drop(place);
            class.look.notified().await;
        }
    }

    async fn claim_next(&self, slot: SlotOf<H>) -> Option<ClaimOf<H>> {
        let (rows, noun) = (self.handler.rows(), RowsOf::<H>::NOUN);
        for _ in 0..LOST_RACES {
            let id = match rows.next(slot).await {
                Ok(next) => next?,
                Err(error) => {
                    tracing::warn!(?error, "the next {noun} could not be read; the sweep looks again");
                    return None;
                }
            };
            match rows.claim(id, &self.owner).await {
                Ok(Some(claim)) => return Some(claim),
                Ok(None) => tracing::debug!(%id, "{noun} {id} is another worker's by now"),
                Err(error) => {
                    tracing::warn!(%id, ?error, "{noun} {id} could not be claimed; the sweep enqueues it again");
                    return None;
                }
            }
        }
        None
    }

    fn spawn(
        self: &Arc<Self>,
        claim: ClaimOf<H>,
        place: Place,
        under_way: OwnedSemaphorePermit,
        class: Arc<Class>,
    ) {
        let worker = Arc::clone(self);
        let gauge = metrics::gauge!("zlh_worker_under_way", "queue" => self.queue);
        self.tasks.spawn(async move {
            gauge.increment(1);
            let span = worker.handler.span(&claim);
            run(&*worker.handler, &claim, &place, &worker.shutdown).instrument(span).await;
            gauge.decrement(1);
            drop((place, under_way));
            // What waited for this one's customer may be next.
            class.look.notify_one();
        });
    }
}

/// Works on a claimed row under its lease, and lets go of it when the shutdown comes first.
async fn run<H: Handler>(handler: &H, claim: &ClaimOf<H>, place: &Place, shutdown: &CancellationToken) {
    let started = Instant::now();
    let ended = tokio::select! {
        ended = handler.work(claim, place, shutdown) => ended,
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
    run(handler, &claim, &Place::alone(), shutdown).instrument(handler.span(&claim)).await;
    Ok(true)
}
