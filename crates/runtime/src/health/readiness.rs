//! Whether the daemon can do its work now: registered checks, each with a deadline of its own.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::task::JoinSet;

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// The checks of a daemon and where it is in its life. Clones share both.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    phase: Phase,
    checks: Vec<(&'static str, Duration, Check)>,
}

/// Where a daemon is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has not yet said that it is ready.
    #[default]
    Starting,
    /// It works; whether well, its checks say.
    Serving,
    /// It was told to stop and takes no new work.
    Draining,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Serving, and no check failed.
    pub ready: bool,
    /// Where the daemon is in its life.
    pub phase: Phase,
    /// The checks that failed.
    pub failed: Vec<Failure>,
}

/// One check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The check's name.
    pub check: &'static str,
    /// What it said.
    pub reason: String,
}

impl Readiness {
    /// Adds a check. It is asked at each `/readyz` and has failed when it does not answer within `deadline`.
    pub fn check<F, Fut, E>(&self, name: &'static str, deadline: Duration, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let check: Check = Arc::new(move || {
            let answer = check();
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        });
        self.state().checks.push((name, deadline, check));
    }

    /// Where the daemon is in its life.
    pub fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Says where the daemon is. Draining is final.
    pub fn enter(&self, phase: Phase) {
        let mut state = self.state();
        if state.phase != Phase::Draining {
            state.phase = phase;
        }
    }

    /// Asks all checks at the same time.
    pub async fn report(&self) -> Report {
        let (phase, checks) = {
            let state = self.state();
            (state.phase, state.checks.clone())
        };
        let mut asked: JoinSet<_> = checks.into_iter().map(ask).collect();
        let mut failed = Vec::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(failure) => failed.extend(failure),
                Err(error) => failed.push(Failure { check: "unknown", reason: error.to_string() }),
            }
        }
        failed.sort_by_key(|failure| failure.check);
        Report { ready: phase == Phase::Serving && failed.is_empty(), phase, failed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask((check, deadline, answer): (&'static str, Duration, Check)) -> Option<Failure> {
    let reason = match tokio::time::timeout(deadline, answer()).await {
        Ok(Ok(())) => return None,
        Ok(Err(reason)) => reason,
        Err(_) => format!("no answer within {deadline:?}"),
    };
    Some(Failure { check, reason })
}
