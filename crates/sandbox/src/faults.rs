//! The faults that a test has switched on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

/// What goes wrong with the paths below a prefix.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// Which paths: `/minecraft/paper/` for a variant, a whole path for one file.
    pub(crate) path_prefix: String,
    /// What goes wrong.
    pub(crate) kind: Kind,
    /// For `slow`: the pause before each piece of the body (at most 64 KiB); for `late`, before the answer. In milliseconds.
    #[serde(default = "one_second")]
    pub(crate) delay_ms: u64,
    /// For `cut`: after how many bytes; half of the body if not given.
    #[serde(default)]
    pub(crate) after_bytes: Option<u64>,
    /// For `status` and `lost`: which one.
    #[serde(default = "bad_gateway")]
    pub(crate) status: u16,
    /// For `status`: seconds in `Retry-After`.
    #[serde(default)]
    pub(crate) retry_after: Option<u32>,
    /// How many requests it spoils before it goes away; for ever if not given.
    #[serde(default)]
    pub(crate) times: Option<u32>,
}

/// The ways in which an answer can be bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// 404.
    NotFound,
    /// The right length with a wrong first byte.
    WrongBytes,
    /// A pause before each piece of the body.
    Slow,
    /// The connection breaks in the middle of the body.
    Cut,
    /// A pause before the request is answered.
    Late,
    /// A status instead of an answer; nothing is done.
    Status,
    /// What was asked for is done, and then a status comes instead of the answer.
    Lost,
}

fn bad_gateway() -> u16 {
    502
}

fn one_second() -> u64 {
    1_000
}

/// The faults in force. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    /// The fault for a request of `path`: the one that was added last. It is used up by one.
    pub(crate) fn take(&self, path: &str) -> Option<Fault> {
        let mut faults = self.lock();
        let index = faults.iter().rposition(|fault| path.starts_with(&fault.path_prefix))?;
        let fault = faults[index].clone();
        match &mut faults[index].times {
            Some(times) if *times > 1 => *times -= 1,
            Some(_) => drop(faults.remove(index)),
            None => {}
        }
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /_faults`
pub(crate) async fn add(State(faults): State<Faults>, Json(fault): Json<Fault>) -> StatusCode {
    tracing::info!(?fault, "a fault is switched on");
    faults.lock().push(fault);
    StatusCode::NO_CONTENT
}

/// `GET /_faults`
pub(crate) async fn list(State(faults): State<Faults>) -> Json<Vec<Fault>> {
    Json(faults.lock().clone())
}

/// `DELETE /_faults`
pub(crate) async fn clear(State(faults): State<Faults>) -> StatusCode {
    faults.lock().clear();
    StatusCode::NO_CONTENT
}
