//! What survives the agent: replaced atomically at each change.

use std::{fs, io, path::Path};

use anyhow::Context;
use chrono::{DateTime, Utc};
use domain::agent::{AgentFault, InstallStep, ServiceSpec};
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

    /// Whether everything that a service needs to be installed is there, so that it differs only in how it is run: another plan's
    /// memory, say. What a customer has changed in the files since then stays as it is.
    pub(super) fn is_installed(&self, wanted: &ServiceSpec) -> bool {
        let same = |(had, step): (&InstallStep, &InstallStep)| match (had, step) {
            // A file is known by its hash; where it came from may move.
            (
                InstallStep::Download { sha256: a, path: b, unpack: c, .. },
                InstallStep::Download { sha256, path, unpack, .. },
            ) => (a, b, c) == (sha256, path, unpack),
            (had, step) => had == step,
        };
        let had = self.spec.as_ref().filter(|_| self.install == InstallState::Done);
        had.is_some_and(|had| {
            had.install.len() == wanted.install.len() && had.install.iter().zip(&wanted.install).all(same)
        })
    }

    pub(super) fn revision(&self) -> Option<&str> {
        self.spec.as_ref().map(|spec| spec.revision.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(url: &str, content: &str, memory: &str) -> ServiceSpec {
        let text = format!(
            r#"{{ "revision": "{memory}", "install": [
                {{ "kind": "download", "url": "{url}", "sha256": "aa", "size": 1, "path": "server.jar" }},
                {{ "kind": "write", "path": "eula.txt", "content": "{content}" }}],
              "run": {{ "argv": ["{{java}}", "-Xmx{memory}M"], "runtime": {{ "kind": "none" }},
                        "stop": {{ "grace_seconds": 1 }}, "console": "pipes" }},
              "ready": {{ "probe": {{ "kind": "tcp", "port": 1 }}, "deadline_seconds": 1 }} }}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_only_runs_in_another_way_is_installed_already() {
        let had = spec("http://a/server.jar", "eula=true", "512");
        let mut saved = Saved { spec: Some(had), install: InstallState::Done, ..Saved::default() };
        assert!(saved.is_installed(&spec("http://b/server.jar", "eula=true", "1024")));
        assert!(!saved.is_installed(&spec("http://a/server.jar", "eula=false", "512")), "another file");
        let mut more = spec("http://a/server.jar", "eula=true", "512");
        more.install.pop();
        assert!(!saved.is_installed(&more));
        saved.install = InstallState::Begun;
        assert!(!saved.is_installed(&spec("http://a/server.jar", "eula=true", "512")), "it was not finished");
        assert!(!Saved::default().is_installed(&more));
    }
}
