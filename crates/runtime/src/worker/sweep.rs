//! The sweep: enqueues again what was committed and is held by nobody, and measures it.

use std::{sync::Arc, time::Duration};

use domain::lease::SWEEP_SECONDS;
use store::{
    StoreError,
    queue::{Backlog, Queue},
};

use super::{Handler, IdOf, LeasedRows};
use crate::{daemon::Context, periodic::Periodic};

/// Jobs that one sweep enqueues. A few do: each lets a worker look for whichever row is next, and a worker that has a place
/// goes on looking until there is none.
const SWEEP_LIMIT: i64 = 64;

/// Sweeps between two removals of finished jobs from Redis.
const SWEEPS_PER_VACUUM: u32 = 300;

const SWEEP: Periodic = Periodic::new("sweep", Duration::from_secs(SWEEP_SECONDS));

/// Sweeps until the shutdown.
pub(super) fn start<H: Handler>(context: &Context, handler: Arc<H>, queue: Queue<IdOf<H>>) {
    let mut sweeps: u32 = 0;
    context.spawn_periodic(SWEEP, move |_| {
        sweeps = sweeps.wrapping_add(1);
        let (handler, queue, vacuum) =
            (handler.clone(), queue.clone(), sweeps.is_multiple_of(SWEEPS_PER_VACUUM));
        async move {
            sweep(handler.rows(), &queue).await?;
            if vacuum {
                queue.sweep_finished().await?;
            }
            Ok(())
        }
    });
}

/// Enqueues only what the queue does not have already, so that a long queue does not grow by being swept.
async fn sweep<R: LeasedRows>(rows: &R, queue: &Queue<R::Id>) -> Result<(), StoreError> {
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
