//! Serving: connects to everything and starts the worker.

use std::sync::Arc;

use anyhow::Context as _;
use integrations::edge;
use runtime::{
    daemon::Context,
    worker::{self, SlotLimit, WorkerSlots},
};
use store::queue::QueueName;

use crate::{config::RepairConfig, repair::Repairer};

/// Repairs at once: few, since each asks services that limit us.
const AT_ONCE: usize = 2;

/// Serves until the shutdown.
pub async fn serve(context: Context, config: RepairConfig) -> anyhow::Result<()> {
    let (db, queue) = (context.database()?, context.queue(QueueName::Repair)?);
    let edge = edge::open(&config.edge.settings().context("[edge]")?, context.clock())
        .context("the edge could not be opened")?;
    let slots = WorkerSlots::new([((), SlotLimit { at_once: AT_ONCE, under_way: AT_ONCE })]);
    worker::start(&context, db.clone(), queue, slots, Arc::new(Repairer::new(db, edge)));
    context.ready();
    context.shutdown().cancelled().await;
    Ok(())
}
