//! The loop of a periodic task.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::anyhow;
use domain::clock::Clock;
use futures_util::FutureExt as _;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Periodic, status::Status};
use crate::systemd::Heartbeat;

/// What an activation can say while it works. Cloning is cheap.
#[derive(Clone)]
pub struct Activation {
    heartbeat: Heartbeat,
    again_in: Arc<Mutex<Option<Duration>>>,
}

impl Activation {
    /// It is alive: for one that works for longer than its task may be silent.
    pub fn beat(&self) {
        self.heartbeat.beat();
    }

    /// The next activation follows in this time instead of a period; not later than that, and without jitter.
    pub fn again_in(&self, pause: Duration) {
        *self.again_in.lock().unwrap_or_else(PoisonError::into_inner) = Some(pause);
    }
}

pub(super) struct Driver {
    pub(super) task: Periodic,
    pub(super) status: Status,
    pub(super) heartbeat: Heartbeat,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) wake: Arc<Notify>,
    pub(super) shutdown: CancellationToken,
}

impl Driver {
    pub(super) async fn run<F, Fut>(self, mut activate: F)
    where
        F: FnMut(Activation) -> Fut,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        loop {
            let activation = Activation { heartbeat: self.heartbeat.clone(), again_in: Arc::default() };
            let again_in = Arc::clone(&activation.again_in);
            self.heartbeat.beat();
            self.status.begin();
            let started = Instant::now();
            // Also what it does before its first await may panic.
            let work = AssertUnwindSafe(async { activate(activation).await }).catch_unwind();
            let ended = if self.task.finishes {
                Some(work.await)
            } else {
                self.shutdown.run_until_cancelled(work).await
            };
            let Some(ended) = ended else { return };
            self.heartbeat.beat();
            let outcome = ended.unwrap_or_else(|_| Err(anyhow!("it panicked; the log has the reason")));
            let asked = again_in.lock().unwrap_or_else(PoisonError::into_inner).take();
            let pause = asked.map_or_else(|| self.pause(), |asked| asked.min(self.task.period));
            self.record(outcome, started.elapsed(), pause);
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        self.task.period.mul_f64(self.task.jitter.mul_add(rand::random::<f64>(), 1.0))
    }

    fn record(&self, outcome: anyhow::Result<()>, took: Duration, pause: Duration) {
        let (name, now) = (self.task.name, self.clock.now());
        let error = outcome.err().map(|error| format!("{error:#}"));
        let word = if error.is_some() { Outcome::Failed } else { Outcome::Succeeded };
        metrics::counter!("zlh_periodic_runs_total", "task" => name, "outcome" => word.as_str()).increment(1);
        metrics::histogram!("zlh_periodic_duration_seconds", "task" => name).record(took.as_secs_f64());
        if word == Outcome::Succeeded {
            #[expect(clippy::cast_precision_loss, reason = "exact for 285 million years")]
            let at = now.timestamp() as f64;
            metrics::gauge!("zlh_periodic_last_success_timestamp_seconds", "task" => name).set(at);
        }
        let (before, failures) = self.status.end(error.clone(), now, took);
        match error {
            // Each time twice as many: one line when it begins, and few while it goes on.
            Some(error) if failures.is_power_of_two() => {
                let times =
                    if failures == 1 { String::new() } else { format!(" ({failures} times in a row)") };
                tracing::warn!(
                    task = name,
                    "{name} failed{times}: {error}; it is tried again in {pause:.1?}"
                );
            }
            Some(error) => tracing::debug!(task = name, "{name} failed: {error}"),
            None if before > 0 => {
                tracing::info!(task = name, "{name} works again, after {before} failures in a row");
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use chrono::DateTime;
    use domain::clock::ManualClock;
    use tokio::time::timeout;

    use super::*;
    use crate::{
        periodic::{Activator, Tasks},
        systemd::Heartbeats,
    };

    const SOON: Duration = Duration::from_millis(1);
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Rig {
        tasks: Tasks,
        heartbeats: Heartbeats,
        activator: Activator,
        shutdown: CancellationToken,
        runs: Arc<AtomicU32>,
    }

    impl Rig {
        fn new() -> Self {
            Self {
                tasks: Tasks::default(),
                heartbeats: Heartbeats::default(),
                activator: Activator::default(),
                shutdown: CancellationToken::new(),
                runs: Arc::default(),
            }
        }

        fn driver(&self, task: Periodic) -> Driver {
            Driver {
                status: self.tasks.register(task.name, task.period),
                heartbeat: self.heartbeats.register(task.name, task.longest_pause() + task.max_silence),
                clock: Arc::new(ManualClock::new(DateTime::UNIX_EPOCH)),
                wake: Arc::clone(&self.activator.0),
                shutdown: self.shutdown.clone(),
                task,
            }
        }

        /// What an activation does after it was counted.
        async fn until(&self, holds: impl Fn(&Self) -> bool) {
            let waited = async {
                while !holds(self) {
                    tokio::time::sleep(SOON).await;
                }
            };
            timeout(PATIENCE, waited).await.expect("it never came to be");
        }

        fn count(&self) -> u32 {
            self.runs.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn an_activation_that_fails_or_panics_is_followed_by_the_next_and_shown() {
        let rig = Rig::new();
        let runs = Arc::clone(&rig.runs);
        let task = rig.driver(Periodic::new("look", SOON)).run(move |_| {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            async move {
                match run {
                    0 => anyhow::bail!("the database is away"),
                    1 => panic!("out of luck"),
                    2 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        });
        let task = tokio::spawn(task);
        rig.until(|rig| rig.count() == 3).await;
        let status = rig.tasks.all().remove(0);
        assert_eq!((status.consecutive_failures, status.running), (2, true));
        assert_eq!(status.last_outcome, Some(Outcome::Failed));
        assert!(status.last_error.unwrap().contains("panicked"));
        rig.shutdown.cancel();
        timeout(PATIENCE, task).await.expect("what hangs is dropped at the shutdown").unwrap();
    }

    #[tokio::test]
    async fn activations_before_the_time_are_joined_and_a_success_ends_the_row_of_failures() {
        let rig = Rig::new();
        let (runs, activator) = (Arc::clone(&rig.runs), rig.activator.clone());
        let hour = Duration::from_hours(1);
        tokio::spawn(rig.driver(Periodic::new("look", hour)).run(move |_| {
            let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
            if first {
                activator.activate();
                activator.activate();
            }
            async move {
                anyhow::ensure!(!first, "not yet");
                Ok(())
            }
        }));
        rig.until(|rig| rig.tasks.all()[0].last_outcome == Some(Outcome::Succeeded)).await;
        tokio::time::sleep(SOON * 20).await;
        assert_eq!(rig.count(), 2, "two calls were one activation, and the hour is not over");
        assert_eq!(rig.tasks.all()[0].consecutive_failures, 0);
    }

    #[tokio::test]
    async fn an_activation_may_be_followed_sooner_but_never_later_than_a_period() {
        for asked in [SOON, Duration::from_hours(1)] {
            let rig = Rig::new();
            let runs = Arc::clone(&rig.runs);
            let period = if asked == SOON { Duration::from_hours(1) } else { SOON };
            tokio::spawn(rig.driver(Periodic::new("look", period)).run(move |activation| {
                runs.fetch_add(1, Ordering::Relaxed);
                activation.again_in(asked);
                async { Ok(()) }
            }));
            rig.until(|rig| rig.count() > 2).await;
        }
    }

    #[tokio::test]
    async fn what_finishes_is_finished_at_a_shutdown_and_not_begun_again() {
        let rig = Rig::new();
        let (runs, finish) = (Arc::clone(&rig.runs), Arc::new(Notify::new()));
        let finished = Arc::clone(&finish);
        let task = tokio::spawn(rig.driver(Periodic::new("look", SOON).finishing()).run(move |_| {
            let (runs, finished) = (Arc::clone(&runs), Arc::clone(&finished));
            async move {
                runs.fetch_add(1, Ordering::Relaxed);
                finished.notified().await;
                Ok(())
            }
        }));
        rig.until(|rig| rig.count() == 1).await;
        rig.shutdown.cancel();
        tokio::time::sleep(SOON * 20).await;
        assert!(!task.is_finished());
        finish.notify_one();
        timeout(PATIENCE, task).await.unwrap().unwrap();
        assert_eq!((rig.count(), rig.tasks.all()[0].last_outcome), (1, Some(Outcome::Succeeded)));
    }

    #[tokio::test]
    async fn one_that_hangs_falls_silent_and_one_that_beats_does_not() {
        let rig = Rig::new();
        let silence = Duration::from_millis(200);
        let task = |name| Periodic::new(name, SOON).max_silence(silence);
        tokio::spawn(rig.driver(task("hangs")).run(|_| std::future::pending()));
        tokio::spawn(rig.driver(task("works")).run(|activation| async move {
            loop {
                activation.beat();
                tokio::time::sleep(SOON).await;
            }
        }));
        rig.until(|rig| rig.heartbeats.silent() == ["hangs"]).await;
    }
}
