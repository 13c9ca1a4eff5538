//! A worker: takes rows that a queue names, holds each by a lease while it works on it, and finds those that the queue
//! has lost.
//!
//! What the rows are, and which is next, is a [`LeasedRows`]; what is done with one a [`Handler`]. The rest is the same for
//! every daemon: slots, listening, the sweep, keeping the lease, letting go at a shutdown.

mod job;
mod keep;
mod slots;
mod sweep;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use store::{
    Db, StoreError,
    queue::{Consumer, ConsumerState, JobId, Queue},
};
use tokio_util::sync::CancellationToken;

pub use job::work_once;
pub use slots::{Place, SlotLimit, WorkerSlots};
pub use store::queue::Backlog;

use crate::daemon::Context;

/// How long work that is under way at a shutdown may go on before it is left for the next worker to repeat.
const GRACE: Duration = Duration::from_secs(5);

/// How long a check of readiness may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

/// Rows that a worker claims by compare-and-set and holds by a lease, timed by the database's clock. Every write under a
/// claim names the lease's term; a term that is not the newest writes nothing.
#[async_trait]
pub trait LeasedRows: Send + Sync + 'static {
    /// Names a row; also the job in the queue.
    type Id: JobId + Eq + std::hash::Hash;

    /// Which slots a row takes.
    type Slot: Copy + Eq + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static;

    /// A row that was claimed, with its lease.
    type Claim: Send + Sync + 'static;

    /// What one row is called in the log, for example `operation`.
    const NOUN: &'static str;

    /// Which slot the row takes; `None` if there is no such row.
    async fn slot(&self, id: Self::Id) -> Result<Option<Self::Slot>, StoreError>;

    /// Which row is to be worked on next in this slot: one that is due, that nobody holds and that this worker can do. `None`
    /// if there is none.
    async fn next(&self, slot: Self::Slot) -> Result<Option<Self::Id>, StoreError>;

    /// Claims a row that is due, that nobody holds and that this worker can do; `None` if it is not so. `owner` is unique per start of a process.
    async fn claim(&self, id: Self::Id, owner: &str) -> Result<Option<Self::Claim>, StoreError>;

    /// Extends the lease; [`StoreError::LeaseLost`] once it is another's or the row has ended.
    async fn renew(&self, claim: &Self::Claim) -> Result<(), StoreError>;

    /// Lets go of a row that has not ended, so that another worker goes on at once.
    async fn release(&self, claim: &Self::Claim) -> Result<(), StoreError>;

    /// What waits for a worker, for the sweep and for metrics.
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// Up to `limit` rows that are due, that nobody holds, and whose jobs seem lost; marks them, so that two sweepers get
    /// different ones.
    async fn take_unclaimed(&self, limit: i64) -> Result<Vec<Self::Id>, StoreError>;
}

/// How work on a row ended. What came of it is in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// The handler is done with it.
    Finished(T),
    /// The shutdown came first: the row is released for another worker.
    Interrupted,
    /// The row is another worker's: nothing was written since.
    LeaseLost,
}

/// What is done with a claimed row.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Whose rows.
    type Rows: LeasedRows;

    /// What it says of a row that it is done with, for the log and metrics.
    type Outcome: Send;

    /// The rows.
    fn rows(&self) -> &Self::Rows;

    /// Works until the row has ended, the lease is lost, or `shutdown` is cancelled and a good moment to stop has come.
    /// Dropped when the lease cannot be kept, or a grace after the shutdown: whoever claims the row next repeats what
    /// was under way. `place` is its place among those at work, which it leaves while it only waits.
    async fn work(
        &self,
        claim: &<Self::Rows as LeasedRows>::Claim,
        place: &Place,
        shutdown: &CancellationToken,
    ) -> Ended<Self::Outcome>;

    /// What the log says of everything that happens to the row meanwhile.
    fn span(&self, _claim: &<Self::Rows as LeasedRows>::Claim) -> tracing::Span {
        tracing::Span::none()
    }

    /// The work has ended after `took`: for the log and metrics.
    fn report(&self, claim: &<Self::Rows as LeasedRows>::Claim, ended: &Ended<Self::Outcome>, took: Duration);
}

type RowsOf<H> = <H as Handler>::Rows;
type IdOf<H> = <RowsOf<H> as LeasedRows>::Id;
type SlotOf<H> = <RowsOf<H> as LeasedRows>::Slot;
type ClaimOf<H> = <RowsOf<H> as LeasedRows>::Claim;

/// Starts a worker of `queue`: its consumer, its sweep, and its check of readiness.
pub fn start<H: Handler>(
    context: &Context,
    db: Db,
    queue: Queue<IdOf<H>>,
    slots: WorkerSlots<SlotOf<H>>,
    handler: Arc<H>,
) {
    // Names this process in leases and in the queue: unique per start, since a queue refuses a name that it has seen.
    let owner = format!("{}-{}", context.name(), uuid::Uuid::now_v7());
    let worker = Arc::new(job::Worker {
        handler: handler.clone(),
        slots,
        owner: owner.as_str().into(),
        queue: queue.name().as_str(),
        tasks: context.tasks().clone(),
        shutdown: context.shutdown(),
    });
    let consumer = Consumer::new(db, queue.clone(), &owner, worker.on_job());
    check_queue(context, &consumer);
    let shutdown = context.shutdown();
    context.spawn_service("queue consumer", async move {
        shutdown.run_until_cancelled(consumer.run()).await;
        Ok(())
    });
    for (slot, class) in worker.slots.all() {
        let (shutdown, worker) = (context.shutdown(), Arc::clone(&worker));
        context.spawn_service("worker", async move {
            shutdown.run_until_cancelled(worker.serve(slot, class)).await;
            Ok(())
        });
    }
    sweep::start(context, handler, queue);
}

fn check_queue<Id: JobId>(context: &Context, consumer: &Consumer<Id>) {
    let state = consumer.state();
    context.readiness().check("queue", CHECK_DEADLINE, move || {
        let connected = *state.borrow() == ConsumerState::Connected;
        async move {
            if connected { Ok(()) } else { Err("the queue cannot be reached; new work waits for the sweep") }
        }
    });
}
