//! Serving: puts the parts together, and takes them apart again.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::agent::API_ISSUER;
use integrations::{
    agent::AgentClient,
    artifacts::HttpArtifacts,
    objects::{FolderStore, OpenStorage, folder::gateway},
};
use runtime::{config::ObjectsSection, daemon::Context};
use store::{Db, queue::QueueName};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, Services},
    config::ApiConfig,
    events,
    router::router,
    schedules, tasks,
};

pub use crate::http::{ConnectionLimits, Server, TrustedProxies};

/// How long the artifact source's catalogue is believed.
const CATALOG_TTL: Duration = Duration::from_mins(1);
/// Connections of agents to backup storage at the same time: each uploads or downloads one backup.
const MAX_STORAGE_CONNECTIONS: usize = 512;
/// How long open uploads of backups may go on once the daemon is to end.
const STORAGE_DRAIN: Duration = Duration::from_secs(2);
/// How long open consoles may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Serves until the shutdown.
pub async fn serve(context: Context, config: ApiConfig) -> anyhow::Result<()> {
    let db = context.database()?;
    let storage = OpenStorage::open(&config.objects.storage(), context.clock())?;
    let app = App::new(&config, services(&context, &config, db.clone(), &storage)?)?;
    let listen = config.api.listen;
    let limits = ConnectionLimits {
        total: config.api.max_connections as usize,
        per_address: config.api.max_connections_per_address as usize,
        proxies: app.trusted_proxies.clone(),
    };
    let server =
        Server::bind(listen, limits).with_context(|| format!("cannot listen on {listen} (api.listen)"))?;
    let (address, stop) = (server.address()?, server.stopper());
    if let OpenStorage::Folder(folder) = storage {
        serve_storage(&context, &config.objects, folder)?;
    }
    feed_events(&context, &app);
    tasks::start(&context, &app);
    let schedules_done = spawn_schedules(&context, &app);
    let serving = tokio::spawn(server.serve(router(app.clone())));
    tracing::info!(%address, "listening on {address}, for {}", app.public_url.origin());
    context.ready();
    context.shutdown().cancelled().await;
    // Event streams and consoles would never end by themselves.
    app.events.close();
    let consoles = app.consoles.clone();
    let goodbye = tokio::spawn(async move { consoles.close().await });
    stop(context.common().process.drain_deadline());
    serving.await??;
    // The server does not wait for connections that became sockets.
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    schedules_done.cancelled().await;
    db.close().await;
    Ok(())
}

fn services(
    context: &Context,
    config: &ApiConfig,
    db: Db,
    storage: &OpenStorage,
) -> anyhow::Result<Services> {
    let (clock, signer) = (context.clock(), config.agent.signer(API_ISSUER).context("agent.key")?);
    let artifacts =
        HttpArtifacts::new(&config.artifacts.base_url, CATALOG_TTL).context("artifacts.base_url")?;
    Ok(Services {
        notifier: context.notifier(&db, QueueName::Provisioning)?,
        billing_notifier: context.notifier(&db, QueueName::BillingEnforcement)?,
        agents: Arc::new(AgentClient::new(Arc::new(signer), clock.clone())),
        objects: storage.store(),
        artifacts: Arc::new(artifacts),
        db,
        clock,
    })
}

/// Serves backups to agents. An upload that is cut off by a restart is tried again by its agent.
fn serve_storage(context: &Context, section: &ObjectsSection, folder: FolderStore) -> anyhow::Result<()> {
    // The agents of a machine have one address, so there is no share of one.
    let limits = ConnectionLimits {
        total: MAX_STORAGE_CONNECTIONS,
        per_address: MAX_STORAGE_CONNECTIONS,
        proxies: TrustedProxies([].into()),
    };
    let server = Server::bind(section.listen, limits)
        .with_context(|| format!("cannot listen on {} (objects.listen)", section.listen))?;
    let (stop, shutdown) = (server.stopper(), context.shutdown());
    context.spawn_service("backup storage", async move {
        let serving = tokio::spawn(server.serve(gateway(folder)));
        shutdown.cancelled().await;
        stop(STORAGE_DRAIN);
        serving.await??;
        anyhow::Ok(())
    });
    Ok(())
}

fn feed_events(context: &Context, app: &App) {
    let (feed, shutdown) = (events::run_feed(app.db.clone(), app.events.clone()), context.shutdown());
    context.spawn_service("events", async move {
        shutdown.run_until_cancelled(feed).await;
        anyhow::Ok(())
    });
}

/// Schedules are not cut off by a shutdown: what was begun is finished and recorded. Cancelled once it is.
fn spawn_schedules(context: &Context, app: &App) -> CancellationToken {
    let (done, shutdown, runner) =
        (CancellationToken::new(), context.shutdown(), app.schedule_runner.clone());
    let heartbeat = context.heartbeat("schedules", schedules::MAX_SILENCE);
    let guard = done.clone().drop_guard();
    context.spawn_service("schedules", async move {
        schedules::run(runner, heartbeat, shutdown).await;
        drop(guard);
        anyhow::Ok(())
    });
    done
}
