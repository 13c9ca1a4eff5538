//! What a child is started with: through `enter`, in the data folder, with an environment of its own.

use std::{collections::BTreeMap, env, path::Path, process::Stdio};

use tokio::process::Command;

use super::{leftovers::MARK, runtime::search_path};

/// A program that is ready to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Program and arguments, resolved.
    pub argv: Vec<String>,
    /// Extra environment.
    pub env: BTreeMap<String, String>,
}

impl Launch {
    /// The command: a session of its own that dies with the agent, pipes for all three streams, and nothing of the
    /// agent's own environment but PATH and time zone, which hold no secrets.
    #[allow(clippy::disallowed_methods, reason = "supervising a process is what the agent is for")]
    pub fn command(&self, data: &Path, instance: &str) -> Command {
        // Always this very program, even when its file was replaced by an update.
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["enter", "--pdeathsig", "--parent", &std::process::id().to_string(), "--"])
            .args(&self.argv)
            .current_dir(data)
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", data)
            .env("LANG", "C.UTF-8")
            .env("TZ", env::var("TZ").unwrap_or_else(|_| "UTC".to_owned()))
            .envs(&self.env)
            .env(MARK, instance)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}
