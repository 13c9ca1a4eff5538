//! How each periodic task of a daemon is doing, for `/healthz`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How an activation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it is for.
    Succeeded,
    /// It did not; the next one tries again.
    Failed,
}

impl Outcome {
    /// For metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A task as `/healthz` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskStatus {
    /// Its name.
    pub name: &'static str,
    /// Seconds between two activations.
    pub period_seconds: f64,
    /// Whether an activation is under way.
    pub running: bool,
    /// How the last one ended; `None` before the first has.
    pub last_outcome: Option<Outcome>,
    /// Why it failed.
    pub last_error: Option<String>,
    /// When it ended.
    pub last_finished_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub last_duration_seconds: Option<f64>,
    /// Failures in a row up to now.
    pub consecutive_failures: u32,
}

/// The tasks of a daemon. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<Status>>>);

/// One task's status, shared by its driver and `/healthz`.
#[derive(Clone)]
pub(crate) struct Status(Arc<Mutex<TaskStatus>>);

impl Tasks {
    pub(super) fn register(&self, name: &'static str, period: Duration) -> Status {
        let status = Status(Arc::new(Mutex::new(TaskStatus {
            name,
            period_seconds: period.as_secs_f64(),
            running: false,
            last_outcome: None,
            last_error: None,
            last_finished_at: None,
            last_duration_seconds: None,
            consecutive_failures: 0,
        })));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(status.clone());
        status
    }

    /// All of them, in the order in which they were started.
    pub(crate) fn all(&self) -> Vec<TaskStatus> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().map(Status::get).collect()
    }
}

impl Status {
    pub(super) fn get(&self) -> TaskStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).running = true;
    }

    /// Records an end. Returns the failures in a row before it and with it.
    pub(super) fn end(&self, error: Option<String>, at: DateTime<Utc>, took: Duration) -> (u32, u32) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = status.consecutive_failures;
        status.running = false;
        status.last_outcome = Some(if error.is_some() { Outcome::Failed } else { Outcome::Succeeded });
        status.consecutive_failures = if error.is_some() { before.saturating_add(1) } else { 0 };
        status.last_error = error;
        status.last_finished_at = Some(at);
        status.last_duration_seconds = Some(took.as_secs_f64());
        (before, status.consecutive_failures)
    }
}
