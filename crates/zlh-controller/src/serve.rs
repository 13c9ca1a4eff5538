//! Serving: connects to everything, and looks while it leads.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::clock::Clock;
use integrations::{
    discord::Webhook,
    edge::{self, Edge, ReadOnlyEdge},
};
use runtime::{
    config::EdgeSection,
    daemon::Context,
    outbox::{self, Channel, Sender, Settings},
};
use store::{Db, controller::Lock, queue::QueueName};

use crate::{config::ControllerConfig, lead, pass::Controller, routes::Routes, tell::Discord};

/// Longest silence of the loop: a pass with listings that are slow.
const SILENCE: Duration = Duration::from_mins(5);

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
    tell(&context, &db, &config)?;
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

/// Sends what operators are to be told, if there is a way: also while another process leads.
fn tell(context: &Context, db: &Db, config: &ControllerConfig) -> anyhow::Result<()> {
    if !config.discord.is_on() {
        tracing::info!(
            "no discord.webhook_url: operators see findings in the Portal and by `zlh-controller findings` only"
        );
        return Ok(());
    }
    let webhook = Webhook::new(&config.discord.webhook_url).context("discord.webhook_url")?;
    let discord: Arc<dyn Channel> = Arc::new(Discord::new(db.clone(), webhook, &config.discord.portal_url));
    let sender = Sender::new(db.clone(), context.name(), [discord], Settings::default());
    let (shutdown, heartbeat) = (context.shutdown(), context.heartbeat("outbox", SILENCE));
    context.spawn_service("outbox", async move {
        outbox::run(sender, || heartbeat.beat(), shutdown).await;
        Ok(())
    });
    Ok(())
}

/// The configured edge, to be looked at only: the controller has no way to change it.
pub(crate) fn open_edge(section: &EdgeSection, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Edge>> {
    let edge =
        edge::open(&section.settings().context("[edge]")?, clock).context("the edge could not be opened")?;
    Ok(Arc::new(ReadOnlyEdge(edge)))
}
