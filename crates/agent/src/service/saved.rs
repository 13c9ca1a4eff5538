//! What survives the agent: replaced atomically at each change.

use std::{fs, io, path::Path};

use anyhow::Context;
use chrono::{DateTime, Utc};
use domain::agent::{AgentFault, ServiceSpec};
use serde::{Deserialize, Serialize};
use shim::{atomic::write_atomically, protocol::Run};

/// Content of `agent/state.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    pub(super) spec: Option<ServiceSpec>,
    pub(super) install: InstallState,
    pub(super) wanted: Wanted,
    /// Whether the server was ready since it was last asked to start.
    pub(super) was_ready: bool,
    /// When the run under way, or the last one, was ready.
    #[serde(default)]
    pub(super) ready_at: Option<DateTime<Utc>>,
    /// Crashes since it was last asked to start.
    pub(super) crash_count: u32,
    /// When the latest of them were.
    pub(super) crashes: Vec<DateTime<Utc>>,
    /// Why it is down, or why the installation failed.
    pub(super) fault: Option<AgentFault>,
}

/// How far the installation of `spec` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InstallState {
    #[default]
    None,
    Begun,
    Done,
    Failed,
}

/// What the control plane last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wanted {
    #[default]
    Stopped,
    Running,
}

impl Saved {
    /// From `file`; the beginning when there is none. A file that cannot be understood is an error: starting over
    /// would forget what is installed.
    pub(super) fn load(file: &Path) -> anyhow::Result<Self> {
        match fs::read(file) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }

    /// To `file`, on disk when this returns. Blocking.
    pub(super) fn store(&self, file: &Path) -> io::Result<()> {
        write_atomically(file, &serde_json::to_vec(self)?)
    }

    /// Counts from zero: somebody asked for a start.
    pub(super) fn forget_crashes(&mut self) {
        self.was_ready = false;
        self.crash_count = 0;
        self.crashes.clear();
        self.fault = None;
    }

    /// When `run` was ready, if it was: a run is ready after its start.
    pub(super) fn ready_at_of(&self, run: &Run) -> Option<DateTime<Utc>> {
        self.ready_at.filter(|ready| ready.timestamp_millis() >= run.started_ms)
    }

    pub(super) fn revision(&self) -> Option<&str> {
        self.spec.as_ref().map(|spec| spec.revision.as_str())
    }
}
