//! Flags of `zlh-agent run`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tracing::level_filters::LevelFilter;

/// What `zlh-agent run` is told; the trust bundle is a file below `root`, never a flag.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Folder with `agent/` (trust bundle, state) and `data/` (the customer's files).
    #[arg(long, env = "ZLH_AGENT_ROOT")]
    pub root: PathBuf,
    /// Address to serve HTTPS on. Port 0 takes a free one and logs it.
    #[arg(long, env = "ZLH_AGENT_LISTEN")]
    pub listen: SocketAddr,
    /// Lowest level logged: error, warn, info, debug or trace.
    #[arg(long, env = "ZLH_AGENT_LOG", default_value = "info")]
    pub log_level: LevelFilter,
    /// First pause after a crash, in milliseconds; doubles with each further one. Shortened by tests only.
    #[arg(long, env = "ZLH_AGENT_BACKOFF_MS", default_value_t = 1_000, hide = true)]
    pub backoff_ms: u64,
}

impl RunArgs {
    /// The first pause after a crash.
    pub fn backoff(&self) -> Duration {
        Duration::from_millis(self.backoff_ms)
    }
}
