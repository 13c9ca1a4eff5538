//! Runs a daemon from its first socket to its last piece of work.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow};
use tokio::{
    task::{JoinError, JoinHandle},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Context, Resources};
use crate::{
    config::Config,
    health::{self, HealthServer, Phase, Readiness},
    metrics,
    periodic::{self, Periodic},
    shutdown::{self, Drained, Signals},
    systemd::{self, Heartbeats},
};

/// The daemon's main function, running.
type Main = JoinHandle<anyhow::Result<()>>;

/// How often histograms are folded when nobody scrapes.
const METRICS_UPKEEP: Periodic = Periodic::new("metrics upkeep", Duration::from_secs(15)).exact();

/// Serves until a signal or a failure, then drains. Only a failed start is an error: later ones are logged when they occur.
pub(super) async fn serve<C, Serve, Serving>(
    resources: Resources,
    version: &'static str,
    config: C,
    serve: Serve,
) -> anyhow::Result<ExitCode>
where
    C: Config,
    Serve: FnOnce(Context, C) -> Serving,
    Serving: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let signals = shutdown::on_signal().context("cannot listen for signals")?;
    let metrics = metrics::install(resources.daemon, version).context("cannot record metrics")?;
    let (readiness, heartbeats) = (Readiness::default(), Heartbeats::default());
    let periodic = periodic::Tasks::default();
    let routes = health::router(readiness.clone(), heartbeats.clone(), periodic.clone(), metrics.clone());
    let listen = resources.common.health.listen.clone();
    let health = HealthServer::start(&listen, routes)
        .await
        .with_context(|| format!("cannot listen on {listen} (health.listen)"))?;
    let drain_deadline = resources.common.process.drain_deadline();
    let context = Context::new(
        resources,
        signals.stop.clone(),
        readiness,
        heartbeats.clone(),
        periodic,
        health.address().clone(),
    );
    let _watchdog = AbortOnDropHandle::new(tokio::spawn(systemd::feed_watchdog(heartbeats)));
    tracing::info!(version, "{} {version} starts", context.name());

    context.spawn_periodic(METRICS_UPKEEP, move |_| {
        metrics.upkeep();
        async { Ok(()) }
    });

    let mut main = tokio::spawn(serve(context.clone(), config));
    let main = tokio::select! {
        ended = &mut main => {
            report_end(&context, ended);
            None
        }
        () = context.shutdown.cancelled() => Some(main),
    };
    stop(&context, main, drain_deadline, &signals).await;
    Ok(if context.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report_end(context: &Context, ended: Result<anyhow::Result<()>, JoinError>) {
    match ended {
        Ok(Err(error)) => context.fail(&error),
        Err(aborted) if aborted.is_cancelled() => {}
        Err(panic) => context.fail(&anyhow!(panic)),
        Ok(Ok(())) if context.shutdown.is_cancelled() => {}
        Ok(Ok(())) => context.fail(&anyhow!("the daemon ended without being asked to")),
    }
}

/// Takes no new work and waits for the old, up to the deadline or a second signal.
async fn stop(context: &Context, main: Option<Main>, deadline: Duration, signals: &Signals) {
    let served = context.readiness.phase() == Phase::Serving;
    context.readiness.enter(Phase::Draining);
    context.heartbeats.stand_down();
    systemd::notify_stopping();
    let work = context.tasks.len();
    tracing::info!(work, ?deadline, "stopping; {work} pieces of work have {deadline:?} to end");
    if let Some(main) = main.as_ref().filter(|_| !served) {
        // Setting up has nothing to finish, and may be waiting for a database that is not there.
        main.abort();
    }
    tokio::select! {
        drained = drain(context, main, deadline) => match drained {
            Drained::Clean => tracing::info!("stopped"),
            Drained::Cut { left } => context.fail(&anyhow!("{left} pieces of work had not ended when the drain's deadline passed")),
        },
        () = signals.abort.cancelled() => context.fail(&anyhow!("told to stop a second time: not waiting for work in progress")),
    }
}

/// Waits for the main function, then for the work it left behind, with one deadline for both.
async fn drain(context: &Context, main: Option<Main>, deadline: Duration) -> Drained {
    let until = Instant::now() + deadline;
    if let Some(main) = main {
        match tokio::time::timeout_at(until, main).await {
            Ok(ended) => report_end(context, ended),
            Err(_) => return Drained::Cut { left: context.tasks.len() + 1 },
        }
    }
    shutdown::drain(&context.tasks, until.saturating_duration_since(Instant::now())).await
}
