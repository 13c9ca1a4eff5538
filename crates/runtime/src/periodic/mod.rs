//! Periodic tasks: a task is a name, a period and a function; the driver does the loop.
//!
//! The driver activates the function at each period, a little later on some days than on others so that daemons do not
//! look in step, and at once when an [`Activator`] says so. It beats for the watchdog, records how the last activation
//! ended for `/healthz` and for metrics, and says in the log when a task begins to fail and when it works again.
//!
//! An activation that fails, or panics, is followed by the next one. One that hangs is not cut off: its heartbeat falls
//! silent, and the service manager starts the daemon again.

mod driver;
mod status;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

pub use driver::Activation;
pub(crate) use status::Tasks;
pub use status::{Outcome, TaskStatus};

use crate::daemon::Context;

/// By how much a pause may be longer than the period, as a part of it.
const JITTER: f64 = 0.1;

/// How long an activation may be silent, unless its task says otherwise.
const MAX_SILENCE: Duration = Duration::from_mins(1);

/// A periodic task.
#[derive(Clone, Copy, Debug)]
pub struct Periodic {
    name: &'static str,
    period: Duration,
    jitter: f64,
    max_silence: Duration,
    finishes: bool,
}

impl Periodic {
    /// A task of this name, activated at the start and then every `period`, counted from the end of the activation
    /// before.
    pub const fn new(name: &'static str, period: Duration) -> Self {
        Self { name, period, jitter: JITTER, max_silence: MAX_SILENCE, finishes: false }
    }

    /// An activation may take this long, or go so long without a [beat](Activation::beat), before the watchdog lets the
    /// daemon be started again.
    #[must_use]
    pub const fn max_silence(mut self, silence: Duration) -> Self {
        self.max_silence = silence;
        self
    }

    /// Without jitter, for what only this process does.
    #[must_use]
    pub const fn exact(mut self) -> Self {
        self.jitter = 0.0;
        self
    }

    /// At a shutdown an activation that is under way is finished. Without this it is dropped, so it must be one of those
    /// that the next activation, of whichever process, begins again.
    #[must_use]
    pub const fn finishing(mut self) -> Self {
        self.finishes = true;
        self
    }

    /// Longest pause between two activations.
    fn longest_pause(&self) -> Duration {
        self.period.mul_f64(1.0 + self.jitter)
    }
}

/// Activates a task before its time. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Activator(Arc<Notify>);

impl Activator {
    /// Activates the task as soon as it is idle. Several calls meanwhile are one activation.
    pub fn activate(&self) {
        self.0.notify_one();
    }
}

impl Context {
    /// Starts a periodic task, until the shutdown.
    pub fn spawn_periodic<F, Fut>(&self, task: Periodic, activate: F) -> Activator
    where
        F: FnMut(Activation) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let activator = Activator::default();
        let driver = driver::Driver {
            status: self.periodic.register(task.name, task.period),
            heartbeat: self.heartbeat(task.name, task.longest_pause() + task.max_silence),
            clock: self.clock(),
            wake: Arc::clone(&activator.0),
            shutdown: self.shutdown(),
            task,
        };
        self.spawn_service(task.name, async move {
            driver.run(activate).await;
            Ok(())
        });
        activator
    }
}
