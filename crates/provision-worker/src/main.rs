//! `zpack-provision-worker`: durable create, delete, backup and restore.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Subcommand;
use domain::{agent::PROVISION_ISSUER, ids::OperationId};
use integrations::{
    Clock,
    agent::AgentClient,
    artifacts::HttpArtifacts,
    edge::DirectEdge,
    engine::local::{LocalConfig, LocalEngine},
};
use provision_worker::{
    backups::{Sweep, sweep},
    config::WorkerConfig,
    objects,
    runner::{self, Runner},
    saga::{Outside, standard},
};
use runtime::{
    daemon::{self, About, Context},
    worker,
};
use store::{
    Db,
    queue::{Notifier, Queue, QueueName, notify_now},
};

const ABOUT: About = About {
    name: "zpack-provision-worker",
    summary: "Durable create, delete, backup and restore of servers, step by step, undone cleanly when they fail.",
    version: env!("CARGO_PKG_VERSION"),
};

/// How long a readiness check may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

/// Longest silence of the engine's supervision, which waits for agents that do not start, before the watchdog lets
/// systemd restart the daemon.
const SUPERVISION_SILENCE: Duration = Duration::from_mins(3);

/// The same for the looks at backups, besides the pause between them.
const BACKUP_SILENCE: Duration = Duration::from_mins(3);

/// How long a catalogue is believed; the worker reads manifests, which are not cached.
const CATALOG_TTL: Duration = Duration::from_mins(1);

#[derive(Subcommand)]
enum Command {
    /// Let a stuck operation go on, once what was in its way is mended
    Resume {
        /// The operation's id
        operation: OperationId,
    },
}

fn main() -> ExitCode {
    daemon::run_with_commands(ABOUT, serve, async |Command::Resume { operation }, config: WorkerConfig| {
        let (db, queue) = (connect(&config)?, provisioning(&config)?);
        let resumed = store::operations::resume_stuck(&db, operation, "operator:command-line").await?;
        let dispatch = resumed.with_context(|| format!("operation {operation} is not stuck"))?;
        notify_now(&db, &queue, dispatch).await;
        println!("operation {operation} goes on");
        Ok(())
    })
}

async fn serve(context: Context, config: WorkerConfig) -> anyhow::Result<()> {
    let db = connect(&config)?;
    let queue = provisioning(&config)?;
    let clock: Clock = {
        let clock = context.clock();
        Arc::new(move || clock.now())
    };
    let engine = open_engine(&config, clock.clone()).await?;
    let outside = outside(&config, engine.clone(), clock.clone())?;

    let checked = db.clone();
    context.readiness().check("database", CHECK_DEADLINE, move || {
        let db = checked.clone();
        async move { db.ping().await }
    });
    let shutdown = context.shutdown();
    let supervising = shutdown.clone();
    let looks = context.heartbeat("engine supervision", SUPERVISION_SILENCE);
    context.spawn_service("engine supervision", async move {
        engine.supervise(supervising, || looks.beat()).await;
        Ok(())
    });
    register_node(&db, &config, &clock, &shutdown).await?;

    let owner = format!("{PROVISION_ISSUER}-{}", uuid::Uuid::now_v7());
    let slots = runner::slots(config.provisioning.concurrency, config.backups.concurrency);
    let runner = Arc::new(Runner::new(db.clone(), outside.clone(), standard()));
    worker::start(&context, db.clone(), queue.clone(), &owner, slots, runner);
    look_after_backups(
        &context,
        &config,
        Sweep {
            db: db.clone(),
            notifier: Notifier::start(db.clone(), queue),
            outside,
            clock,
            pause: Duration::from_secs(config.backups.sweep_seconds),
            verify_every: config.backups.verify_every(),
        },
    );
    context.ready();
    shutdown.cancelled().await;
    Ok(())
}

fn look_after_backups(context: &Context, config: &WorkerConfig, looks: Sweep) {
    let (shutdown, pause) = (context.shutdown(), Duration::from_secs(config.backups.sweep_seconds));
    let heartbeat = context.heartbeat("backups", pause + BACKUP_SILENCE);
    context.spawn_service("backups", async move {
        sweep(looks, || heartbeat.beat(), shutdown).await;
        Ok(())
    });
}

fn connect(config: &WorkerConfig) -> anyhow::Result<Db> {
    let section = &config.database;
    Ok(Db::connect_lazy(&section.url, ABOUT.name, section.max_connections, section.acquire_timeout())?)
}

fn provisioning(config: &WorkerConfig) -> anyhow::Result<Queue<OperationId>> {
    Ok(Queue::new(&config.redis.url, &config.redis.queue_prefix, QueueName::Provisioning)?)
}

async fn open_engine(config: &WorkerConfig, clock: Clock) -> anyhow::Result<LocalEngine> {
    let section = &config.engine;
    let local = LocalConfig {
        root: section.root.clone(),
        agent_program: section.agent_program.clone(),
        isolation: section.isolation,
        visible: section.visible.clone(),
        clock,
    };
    LocalEngine::open(local).await.context("the local engine could not be opened")
}

fn outside(config: &WorkerConfig, engine: LocalEngine, clock: Clock) -> anyhow::Result<Outside> {
    let signer = Arc::new(config.agent.signer(PROVISION_ISSUER)?);
    Ok(Outside {
        engine: Arc::new(engine),
        objects: objects::open(&config.objects, clock.clone())?,
        backups: config.backups.limits(),
        agents: Arc::new(AgentClient::new(signer.clone(), clock)),
        artifacts: Arc::new(HttpArtifacts::new(&config.artifacts.base_url, CATALOG_TTL)?),
        edge: Arc::new(DirectEdge::new(config.engine.public_host.clone())),
        bind_address: config.engine.bind_address,
        signer,
        trusted: config.trust.keys()?,
    })
}

/// Presents this machine as a node. Waits while the database is away.
async fn register_node(
    db: &Db,
    config: &WorkerConfig,
    clock: &Clock,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let node = config.engine.node();
    while !shutdown.is_cancelled() {
        match store::nodes::register(db, &node, clock()).await {
            Ok(id) => {
                tracing::info!(node = node.name, %id, "node registered");
                return Ok(());
            }
            Err(error) if error.is_unavailable() => {
                tracing::warn!(error = ?error, "the database is away; waiting for it");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error).context("the node could not be registered"),
        }
    }
    Ok(())
}
