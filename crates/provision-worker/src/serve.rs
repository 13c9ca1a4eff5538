//! Serving: connects to everything, starts the worker and what it does unasked.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::{agent::PROVISION_ISSUER, clock::Clock, ids::NodeId};
use integrations::{
    agent::AgentClient,
    artifacts::HttpArtifacts,
    edge,
    engine::{
        Engine, Engines,
        local::{LocalConfig, LocalEngine},
    },
    objects::OpenStorage,
};
use runtime::{daemon::Context, worker};
use store::{Db, nodes::NodeSpec, queue::QueueName};

use crate::{
    backups::Sweep,
    config::{EngineKind, EngineSection, WorkerConfig},
    report::Report,
    runner::{self, Runner, Shares},
    saga::{Services, standard},
};

/// Longest silence of the engine's supervision, which waits for agents that do not start, before the watchdog lets
/// systemd restart the daemon.
const SUPERVISION_SILENCE: Duration = Duration::from_mins(3);

/// How long a catalogue is believed; the worker reads manifests, which are not cached.
const CATALOG_TTL: Duration = Duration::from_mins(1);

/// Pause before a database that is away is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Serves until the shutdown.
pub async fn serve(context: Context, config: WorkerConfig) -> anyhow::Result<()> {
    let (db, clock) = (context.database()?, context.clock());
    let queue = context.queue(QueueName::Provisioning)?;
    let Some(engines) = open_engines(&context, &db, &config).await? else { return Ok(()) };
    let every = Duration::from_secs(config.engine.report_seconds.into());
    Report::new(db.clone(), engines.clone()).start(&context, every);
    let services = services(&config, engines, &clock)?;
    let slots = runner::slots(config.provisioning.concurrency, config.backups.concurrency);
    let shares =
        Shares { short: config.provisioning.per_customer.into(), long: config.backups.per_customer.into() };
    let runner = Arc::new(Runner::new(db.clone(), services.clone(), standard(), shares));
    worker::start(&context, db.clone(), queue, slots, runner);
    let notifier = context.notifier(&db, QueueName::Provisioning)?;
    let (verify_every, compare_every) = (config.backups.verify_every(), config.backups.compare_every());
    let sweep = Sweep { db, notifier, services, clock, verify_every, compare_every };
    sweep.start(&context, Duration::from_secs(config.backups.sweep_seconds));
    context.ready();
    context.shutdown().cancelled().await;
    Ok(())
}

/// The configured engine, with its node registered. `None` at a shutdown that came first.
async fn open_engines(context: &Context, db: &Db, config: &WorkerConfig) -> anyhow::Result<Option<Engines>> {
    let engine: Arc<dyn Engine> = match config.engine.kind {
        EngineKind::Local => {
            let engine = open_local(&config.engine, context.clock()).await?;
            supervise(context, engine.clone());
            Arc::new(engine)
        }
    };
    let node = register_node(context, db, &config.engine.node()).await?;
    Ok(node.map(|node| Engines::default().with(node, engine)))
}

async fn open_local(section: &EngineSection, clock: Arc<dyn Clock>) -> anyhow::Result<LocalEngine> {
    let local = LocalConfig {
        root: section.root.clone(),
        agent_program: section.agent_program.clone(),
        isolation: section.isolation,
        visible: section.visible.clone(),
        clock,
    };
    LocalEngine::open(local).await.context("the local engine could not be opened")
}

fn services(config: &WorkerConfig, engines: Engines, clock: &Arc<dyn Clock>) -> anyhow::Result<Services> {
    let signer = Arc::new(config.agent.signer(PROVISION_ISSUER)?);
    Ok(Services {
        engines,
        objects: OpenStorage::open(&config.objects.storage(), clock.clone())?.store(),
        backups: config.backups.limits(),
        agents: Arc::new(AgentClient::new(signer.clone(), clock.clone())),
        artifacts: Arc::new(HttpArtifacts::new(&config.artifacts.base_url, CATALOG_TTL)?),
        edge: edge::open(&config.edge.settings().context("[edge]")?, clock.clone())
            .context("the edge could not be opened")?,
        bind_address: config.engine.bind_address,
        signer,
        trusted: config.trust.keys()?,
    })
}

fn supervise(context: &Context, engine: LocalEngine) {
    let (shutdown, heartbeat) =
        (context.shutdown(), context.heartbeat("engine supervision", SUPERVISION_SILENCE));
    context.spawn_service("engine supervision", async move {
        engine.supervise(shutdown, || heartbeat.beat()).await;
        Ok(())
    });
}

/// Presents the engine's machine as a node. Waits while the database is away; `None` at a shutdown that came first.
async fn register_node(context: &Context, db: &Db, node: &NodeSpec) -> anyhow::Result<Option<NodeId>> {
    let shutdown = context.shutdown();
    while !shutdown.is_cancelled() {
        match store::nodes::register(db, node, context.clock().now()).await {
            Ok(id) => {
                tracing::info!(node = node.name, %id, "this machine is registered as node {}", node.name);
                return Ok(Some(id));
            }
            Err(error) if error.is_unavailable() => {
                tracing::warn!(?error, "the database does not answer; nothing is worked on until it does");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error).context("the node could not be registered"),
        }
    }
    Ok(None)
}
