//! Runs a daemon from its first socket to its last piece of work.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow};
use tokio::{
    task::{JoinError, JoinHandle},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{About, Context};
use crate::{
    config::Config,
    health::{self, HealthServer, Phase, Readiness},
    metrics::{self, Metrics},
    shutdown::{self, Drained, Signals},
    systemd::{self, Heartbeats},
};

/// The daemon's main function, running.
type Main = JoinHandle<anyhow::Result<()>>;

/// How often histograms are folded when nobody scrapes.
const METRICS_UPKEEP: Duration = Duration::from_secs(15);

/// Serves until a signal or a failure, then drains. Only a failed start is an error: later ones are logged when they occur.
pub(super) async fn serve<C, Serve, Serving>(
    about: About,
    config: C,
    serve: Serve,
) -> anyhow::Result<ExitCode>
where
    C: Config,
    Serve: FnOnce(Context, C) -> Serving,
    Serving: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let signals = shutdown::on_signal().context("cannot listen for signals")?;
    let metrics = metrics::install(about.name, about.version).context("cannot record metrics")?;
    let (readiness, heartbeats) = (Readiness::default(), Heartbeats::default());
    let routes = health::router(readiness.clone(), heartbeats.clone(), metrics.clone());
    let listen = config.health().listen;
    let health = HealthServer::start(listen, routes)
        .await
        .with_context(|| format!("cannot listen on {listen} (health.listen)"))?;
    let drain_deadline = config.process().drain_deadline();
    let context =
        Context::new(about.name, signals.stop.clone(), readiness, heartbeats.clone(), health.address());
    let _watchdog = AbortOnDropHandle::new(tokio::spawn(systemd::feed_watchdog(heartbeats)));
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(keep_up(metrics)));
    tracing::info!(version = about.version, "starting");

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

async fn keep_up(metrics: Metrics) {
    loop {
        tokio::time::sleep(METRICS_UPKEEP).await;
        metrics.upkeep();
    }
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
    tracing::info!(work = context.tasks.len(), ?deadline, "stopping");
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
