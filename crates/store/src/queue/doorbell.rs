//! Ringing after a commit: never in the way of the answer, and never needed for it.

use tokio::sync::mpsc;

use super::{Queue, WAKE_CHANNEL};
use crate::{Db, StoreError, events::EVENTS_CHANNEL, events::Event};
use domain::ids::OperationId;

/// Rings that may wait while Redis is slow. More are dropped: the sweep finds their rows.
const WAITING_RINGS: usize = 4_096;

/// Rings sent to Redis and Postgres at a time.
const BATCH: usize = 64;

/// A committed operation that a worker and its customer should hear of.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// The operation.
    pub operation: OperationId,
    /// What its customer is told.
    pub event: Event,
}

/// Rings in the background. Cloning is cheap; the task behind it ends with the last clone.
#[derive(Clone, Debug)]
pub struct Doorbell {
    rings: mpsc::Sender<Ring>,
}

impl Doorbell {
    /// Starts the task that rings.
    pub fn start(db: Db, queue: Queue) -> Self {
        let (rings, waiting) = mpsc::channel(WAITING_RINGS);
        tokio::spawn(ring_all(db, queue, waiting));
        Self { rings }
    }

    /// Rings, or leaves it to the sweep if too many rings wait.
    pub fn ring(&self, ring: Ring) {
        if self.rings.try_send(ring).is_err() {
            tracing::warn!(operation = %ring.operation, "too many rings wait; the sweep will find the operation");
        }
    }
}

async fn ring_all(db: Db, queue: Queue, mut waiting: mpsc::Receiver<Ring>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let ids: Vec<_> = batch.iter().map(|ring| ring.operation).collect();
        if let Err(error) = queue.push(&ids).await {
            tracing::warn!(error = ?error, count = ids.len(), "the queue did not take a ring; the sweep will find it");
        }
        if let Err(error) = announce(&db, &queue, &batch).await {
            tracing::warn!(error = ?error, count = ids.len(), "a ring was not announced; a sweep will find it");
        }
        batch.clear();
    }
}

/// Wakes the queue's workers and tells the customers. A statement of its own, so that no commit waits for a NOTIFY.
async fn announce(db: &Db, queue: &Queue, batch: &[Ring]) -> Result<(), StoreError> {
    let events: Vec<String> =
        batch.iter().filter_map(|ring| serde_json::to_string(&ring.event).ok()).collect();
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
