//! Serving: puts the parts together, and takes them apart again.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::agent::API_ISSUER;
use integrations::{agent::AgentClient, artifacts::HttpArtifacts};
use runtime::daemon::Context;
use store::{
    Db,
    queue::{Doorbell, Queue, QueueName},
};

use crate::{
    app::{App, World},
    config::ApiConfig,
    events,
    router::router,
    watch,
};

pub use crate::http::Server;

/// How long the artifact source's catalogue is believed.
const CATALOG_TTL: Duration = Duration::from_mins(1);
/// How long a check of readiness may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(3);
/// How often idempotency keys past their time are dropped.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Serves until the shutdown.
pub async fn serve(context: Context, config: ApiConfig) -> anyhow::Result<()> {
    let db = database(&config)?;
    let app = App::new(&config, world(&context, &config, db.clone())?)?;
    let checked = db.clone();
    context.readiness().check("database", CHECK_DEADLINE, move || {
        let db = checked.clone();
        async move { db.ping().await }
    });
    let listen = config.api.listen;
    let server = Server::bind(listen, config.api.max_connections as usize)
        .with_context(|| format!("cannot listen on {listen} (api.listen)"))?;
    let (address, stop) = (server.address()?, server.stopper());
    spawn_background(&context, &app);
    let serving = tokio::spawn(server.serve(router(app.clone())));
    tracing::info!(%address, public_url = app.public_url.origin(), "listening");
    context.ready();
    context.shutdown().cancelled().await;
    // Event streams would never end by themselves.
    app.events.close();
    stop(config.process.drain_deadline());
    serving.await??;
    db.close().await;
    Ok(())
}

/// The pool of this daemon's own role.
pub fn database(config: &ApiConfig) -> anyhow::Result<Db> {
    let section = &config.database;
    Db::connect_lazy(&section.url, "zpack-api", section.max_connections, section.acquire_timeout())
        .context("database.url")
}

fn world(context: &Context, config: &ApiConfig, db: Db) -> anyhow::Result<World> {
    let clock = context.clock();
    let signer = Arc::new(config.agent.signer(API_ISSUER).context("agent.key")?);
    let dated_by = clock.clone();
    let agents = AgentClient::new(signer, Arc::new(move || dated_by.now()));
    let artifacts =
        HttpArtifacts::new(&config.artifacts.base_url, CATALOG_TTL).context("artifacts.base_url")?;
    let queue = Queue::new(&config.redis.url, &config.redis.queue_prefix, QueueName::Provisioning);
    let doorbell = Doorbell::start(db.clone(), queue.context("redis.url")?);
    Ok(World { db, doorbell, clock, agents: Arc::new(agents), artifacts: Arc::new(artifacts) })
}

/// Everything that feeds the event streams, for as long as the process lives.
pub async fn feed_events(app: App) {
    tokio::join!(events::run_feed(app.clone()), events::check_credentials(app));
}

fn spawn_background(context: &Context, app: &App) {
    let until_shutdown = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let shutdown = context.shutdown();
        async move {
            shutdown.run_until_cancelled(work).await;
            anyhow::Ok(())
        }
    };
    context.spawn_service("events", until_shutdown(Box::pin(feed_events(app.clone()))));
    context.spawn_service("watch", until_shutdown(Box::pin(watch::run(app.clone()))));
    context.spawn_service("idempotency keys", until_shutdown(Box::pin(forget_old_keys(app.clone()))));
}

async fn forget_old_keys(app: App) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        if let Err(error) = store::instances::forget_old_keys(&app.db, app.clock.now()).await {
            tracing::warn!(error = ?error, "old idempotency keys could not be dropped");
        }
    }
}
