//! Serving: connects to everything, and looks while it leads.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::clock::Clock;
use integrations::edge::{self, Edge, ReadOnlyEdge};
use runtime::{config::EdgeSection, daemon::Context};
use store::{controller::Lock, queue::QueueName};

use crate::{config::ControllerConfig, lead, outbox, pass::Controller, routes::Routes};

/// Longest silence of the loop: a pass with listings that are slow.
pub(crate) const SILENCE: Duration = Duration::from_mins(5);

/// Serves until the shutdown.
pub async fn serve(context: Context, config: ControllerConfig) -> anyhow::Result<()> {
    let db = context.database()?;
    let notifier = context.notifier(&db, QueueName::Repair)?;
    // Unique per start: a lock that an earlier process left is not ours.
    let owner = format!("{}-{}", context.name(), uuid::Uuid::now_v7());
    let redis = &context.common().redis;
    let lock = Lock::new(&redis.url, &redis.queue_prefix, &owner).context("redis.url")?;
    let controller = Controller::new(
        db.clone(),
        open_edge(&config.edge, context.clock())?,
        &config.controller,
        config.discord.is_on(),
    )
    .with_routes(Routes::open(&config.controller, context.clock())?);
    outbox::spawn(&context, &db, &config)?;
    let pause = config.controller.pause();
    let (shutdown, heartbeat) = (context.shutdown(), context.heartbeat("leadership", SILENCE));
    context.spawn_service("leadership", async move {
        lead::run(&db, &lock, &owner, &controller, &notifier, pause, &shutdown, || heartbeat.beat()).await;
        Ok(())
    });
    context.ready();
    context.shutdown().cancelled().await;
    Ok(())
}

/// The configured edge, to be looked at only: the controller has no way to change it.
pub(crate) fn open_edge(section: &EdgeSection, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Edge>> {
    let edge =
        edge::open(&section.settings().context("[edge]")?, clock).context("the edge could not be opened")?;
    Ok(Arc::new(ReadOnlyEdge(edge)))
}
