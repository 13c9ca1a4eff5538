//! What a running daemon can ask of its surroundings.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::anyhow;
use futures_util::FutureExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Resources;
use crate::{
    clock::{Clock, SystemClock},
    config::{Common, Listen},
    health::{Phase, Readiness},
    periodic,
    systemd::{self, Heartbeat, Heartbeats},
};

/// The daemon's surroundings. Clones share everything.
#[derive(Clone)]
pub struct Context {
    pub(super) resources: Resources,
    clock: Arc<dyn Clock>,
    health_address: Listen,
    pub(super) shutdown: CancellationToken,
    pub(super) readiness: Readiness,
    pub(super) heartbeats: Heartbeats,
    pub(crate) periodic: periodic::Tasks,
    pub(super) tasks: TaskTracker,
    failed: Arc<AtomicBool>,
}

impl Context {
    pub(super) fn new(
        resources: Resources,
        shutdown: CancellationToken,
        readiness: Readiness,
        heartbeats: Heartbeats,
        periodic: periodic::Tasks,
        health_address: Listen,
    ) -> Self {
        Self {
            resources,
            clock: Arc::new(SystemClock),
            health_address,
            shutdown,
            readiness,
            heartbeats,
            periodic,
            tasks: TaskTracker::new(),
            failed: Arc::default(),
        }
    }

    /// The daemon's name.
    pub fn name(&self) -> &'static str {
        self.resources.daemon
    }

    /// The configuration that every daemon has.
    pub fn common(&self) -> &Common {
        &self.resources.common
    }

    /// The clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Where health is served.
    pub fn health_address(&self) -> &Listen {
        &self.health_address
    }

    /// Cancelled when the daemon is to stop: take no new work, finish what is in progress.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Where checks of readiness are registered.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Registers a loop that will [`beat`](Heartbeat::beat) at least every `max_silence`; while it does not, the
    /// watchdog is not fed and `/healthz` fails.
    pub fn heartbeat(&self, name: &'static str, max_silence: Duration) -> Heartbeat {
        self.heartbeats.register(name, max_silence)
    }

    /// Work in progress that a shutdown waits for, up to the drain's deadline.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Says that the setup is done: `/readyz` may succeed, and the service manager is told.
    pub fn ready(&self) {
        self.readiness.enter(Phase::Serving);
        systemd::notify_ready();
        let name = self.name();
        tracing::info!(health = %self.health_address, "{name} is ready; health and metrics are at {}", self.health_address);
    }

    /// Starts a part of the daemon that runs until the shutdown. One that ends before, in whatever way, ends the daemon
    /// with a failure, so that the service manager starts all of it again.
    pub fn spawn_service<F>(&self, name: &'static str, service: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let context = self.clone();
        self.tasks.spawn(async move {
            let outcome = std::panic::AssertUnwindSafe(service).catch_unwind().await;
            let failure = match outcome {
                Ok(Err(error)) => error.context(format!("{name} failed")),
                Err(_) => anyhow!("{name} panicked"),
                Ok(Ok(())) if context.shutdown.is_cancelled() => return,
                Ok(Ok(())) => anyhow!("{name} ended without being asked to"),
            };
            context.fail(&failure);
        });
    }

    /// Logs `error` and ends the daemon because of it, with an exit code that says so.
    pub fn fail(&self, error: &anyhow::Error) {
        tracing::error!("{error:#}");
        self.failed.store(true, Ordering::Relaxed);
        self.shutdown.cancel();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
