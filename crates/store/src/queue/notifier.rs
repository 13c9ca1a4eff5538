//! Telling workers and customers of committed work: never in the way of the answer, and never needed for it.

use tokio::sync::mpsc;

use super::{JobId, Queue, WAKE_CHANNEL};
use crate::{Db, StoreError, events::EVENTS_CHANNEL, events::Event};

/// Dispatches that may wait while Redis is slow. More are dropped: the sweep finds their rows.
const WAITING_DISPATCHES: usize = 4_096;

/// Dispatches sent to Redis and Postgres at a time.
const BATCH: usize = 64;

/// A committed row that a worker must hear of, and its customer. Only a write of this crate makes one, and only a
/// notifier takes it: a caller that forgets to notify holds a value that it has not used, which does not compile.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// fn commit() -> store::queue::Dispatch<domain::ids::OperationId> {
///     unimplemented!()
/// }
/// commit();
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the work is committed; give this to the notifier, or no worker hears of it before the next sweep"]
pub struct Dispatch<Id> {
    row: Id,
    event: Option<Event>,
}

impl<Id: JobId> Dispatch<Id> {
    /// Of a row that was committed; `event` is what its customer is told.
    pub(crate) fn new(row: Id, event: Option<Event>) -> Self {
        Self { row, event }
    }

    /// Which row it is of; for tests, which need no worker.
    #[cfg(feature = "testing")]
    pub fn row(&self) -> Id {
        self.row
    }
}

/// Notifies in the background. Cloning is cheap; the task behind it ends with the last clone.
#[derive(Debug)]
pub struct Notifier<Id> {
    dispatches: mpsc::Sender<Dispatch<Id>>,
}

impl<Id> Clone for Notifier<Id> {
    fn clone(&self) -> Self {
        Self { dispatches: self.dispatches.clone() }
    }
}

impl<Id: JobId> Notifier<Id> {
    /// Starts the task that notifies.
    pub fn start(db: Db, queue: Queue<Id>) -> Self {
        let (dispatches, waiting) = mpsc::channel(WAITING_DISPATCHES);
        tokio::spawn(notify_all(db, queue, waiting));
        Self { dispatches }
    }

    /// Notifies, or leaves it to the sweep if too many wait. Returns the row's id.
    pub fn notify(&self, dispatch: Dispatch<Id>) -> Id {
        let row = dispatch.row;
        if self.dispatches.try_send(dispatch).is_err() {
            tracing::warn!(%row, "no worker was told of {row}, since too many notifications wait; the sweep finds it");
        }
        row
    }
}

async fn notify_all<Id: JobId>(db: Db, queue: Queue<Id>, mut waiting: mpsc::Receiver<Dispatch<Id>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        send(&db, &queue, &batch).await;
        batch.clear();
    }
}

/// Notifies before it returns, for a process that ends then. Returns the row's id.
pub async fn notify_now<Id: JobId>(db: &Db, queue: &Queue<Id>, dispatch: Dispatch<Id>) -> Id {
    send(db, queue, std::slice::from_ref(&dispatch)).await;
    dispatch.row
}

async fn send<Id: JobId>(db: &Db, queue: &Queue<Id>, batch: &[Dispatch<Id>]) {
    let rows: Vec<_> = batch.iter().map(|dispatch| dispatch.row).collect();
    let (name, count) = (queue.name.as_str(), rows.len());
    if let Err(error) = queue.push(&rows).await {
        tracing::warn!(
            ?error,
            count,
            "{count} jobs did not reach the queue {name}; the sweep finds their rows"
        );
    }
    if let Err(error) = announce(db, queue, batch).await {
        tracing::warn!(
            ?error,
            count,
            "{count} jobs of the queue {name} were not announced; workers look within a second"
        );
    }
}

/// Wakes the queue's workers and tells the customers. A statement of its own, so that no commit waits for a NOTIFY.
async fn announce<Id>(db: &Db, queue: &Queue<Id>, batch: &[Dispatch<Id>]) -> Result<(), StoreError> {
    let events = batch.iter().filter_map(|dispatch| dispatch.event.as_ref());
    let events: Vec<String> = events.filter_map(|event| serde_json::to_string(event).ok()).collect();
    sqlx::query!(
        "SELECT pg_notify($1, $2) FROM (SELECT 1) one UNION ALL SELECT pg_notify($3, e) FROM unnest($4::text[]) e",
        WAKE_CHANNEL,
        queue.name.as_str(),
        EVENTS_CHANNEL,
        &events,
    )
    .fetch_all(db.pool())
    .await?;
    Ok(())
}
