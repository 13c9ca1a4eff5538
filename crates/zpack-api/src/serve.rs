//! Serving: puts the parts together, and takes them apart again.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::agent::API_ISSUER;
use integrations::{agent::AgentClient, artifacts::HttpArtifacts};
use runtime::daemon::Context;
use store::{
    Db,
    queue::{Notifier, Queue, QueueName},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, World},
    config::ApiConfig,
    console, events, ide,
    objects::Storage,
    router::router,
    schedules, watch,
};

pub use crate::http::Server;

/// How long the artifact source's catalogue is believed.
const CATALOG_TTL: Duration = Duration::from_mins(1);
/// How long a check of readiness may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(3);
/// How long open uploads of backups may go on once the daemon is to end.
const OBJECTS_DRAIN: Duration = Duration::from_secs(2);
/// How long open consoles may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often idempotency keys past their time are dropped.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Serves until the shutdown.
pub async fn serve(context: Context, config: ApiConfig) -> anyhow::Result<()> {
    let db = database(&config)?;
    let dated_by = context.clock();
    let storage = Storage::open(&config.objects, Arc::new(move || dated_by.now()))?;
    let app = App::new(&config, world(&context, &config, db.clone(), &storage)?)?;
    let checked = db.clone();
    context.readiness().check("database", CHECK_DEADLINE, move || {
        let db = checked.clone();
        async move { db.ping().await }
    });
    let listen = config.api.listen;
    let server = Server::bind(listen, config.api.max_connections as usize)
        .with_context(|| format!("cannot listen on {listen} (api.listen)"))?;
    let (address, stop) = (server.address()?, server.stopper());
    if let Some((server, gateway)) = storage.listen(&config.objects)? {
        serve_objects(&context, server, gateway);
    }
    spawn_background(&context, &app);
    let schedules_done = spawn_schedules(&context, &app);
    let serving = tokio::spawn(server.serve(router(app.clone())));
    tracing::info!(%address, public_url = app.public_url.origin(), "listening");
    context.ready();
    context.shutdown().cancelled().await;
    // Event streams and consoles would never end by themselves.
    app.events.close();
    let consoles = app.consoles.clone();
    let goodbye = tokio::spawn(async move { consoles.close().await });
    stop(config.process.drain_deadline());
    serving.await??;
    // The server does not wait for connections that became sockets.
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    schedules_done.cancelled().await;
    db.close().await;
    Ok(())
}

/// The pool of this daemon's own role.
pub fn database(config: &ApiConfig) -> anyhow::Result<Db> {
    let section = &config.database;
    Db::connect_lazy(&section.url, "zpack-api", section.max_connections, section.acquire_timeout())
        .context("database.url")
}

fn world(context: &Context, config: &ApiConfig, db: Db, storage: &Storage) -> anyhow::Result<World> {
    let clock = context.clock();
    let signer = Arc::new(config.agent.signer(API_ISSUER).context("agent.key")?);
    let dated_by = clock.clone();
    let agents = AgentClient::new(signer, Arc::new(move || dated_by.now()));
    let artifacts =
        HttpArtifacts::new(&config.artifacts.base_url, CATALOG_TTL).context("artifacts.base_url")?;
    let queue = Queue::new(&config.redis.url, &config.redis.queue_prefix, QueueName::Provisioning);
    let notifier = Notifier::start(db.clone(), queue.context("redis.url")?);
    let (agents, objects) = (Arc::new(agents), storage.store());
    Ok(World { db, notifier, clock, agents, objects, artifacts: Arc::new(artifacts) })
}

/// Serves backups to agents. An upload that is cut off by a restart is tried again by its agent.
fn serve_objects(context: &Context, server: Server, gateway: axum::Router) {
    let (stop, shutdown) = (server.stopper(), context.shutdown());
    context.spawn_service("backup storage", async move {
        let serving = tokio::spawn(server.serve(gateway));
        shutdown.cancelled().await;
        stop(OBJECTS_DRAIN);
        serving.await??;
        anyhow::Ok(())
    });
}

/// Everything that feeds the event streams, for as long as the process lives.
pub async fn feed_events(app: App) {
    tokio::join!(
        events::run_feed(app.clone()),
        events::check_credentials(app.clone()),
        console::check_rights(app)
    );
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
    context.spawn_service("workspaces", until_shutdown(Box::pin(ide::watch(app.clone()))));
    context.spawn_service("idempotency keys", until_shutdown(Box::pin(forget_old_keys(app.clone()))));
}

/// Schedules are not cut off by a shutdown: what was begun is finished and recorded. Cancelled once it is.
fn spawn_schedules(context: &Context, app: &App) -> CancellationToken {
    let (done, shutdown, app) = (CancellationToken::new(), context.shutdown(), app.clone());
    let guard = done.clone().drop_guard();
    context.spawn_service("schedules", async move {
        schedules::run(app, shutdown).await;
        drop(guard);
        anyhow::Ok(())
    });
    done
}

async fn forget_old_keys(app: App) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        if let Err(error) = store::instances::forget_old_keys(&app.db, app.clock.now()).await {
            tracing::warn!(error = ?error, "old idempotency keys could not be dropped");
        }
    }
}
