//! `[process]`: threads and how long a daemon may take to stop.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// The process itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessSection {
    /// Threads that run async work. Few, because each costs memory and the work waits for others most of the time.
    pub worker_threads: usize,
    /// Most threads for blocking work such as file access and password hashing; they are started when needed.
    pub max_blocking_threads: usize,
    /// How long work in progress may take to end after SIGTERM, in milliseconds.
    pub drain_deadline_ms: u64,
}

impl ProcessSection {
    /// How long work in progress may take to end after SIGTERM.
    pub fn drain_deadline(&self) -> Duration {
        Duration::from_millis(self.drain_deadline_ms)
    }
}

impl Default for ProcessSection {
    fn default() -> Self {
        Self { worker_threads: 2, max_blocking_threads: 16, drain_deadline_ms: 30_000 }
    }
}

impl Section for ProcessSection {
    fn name(&self) -> &'static str {
        "process"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new("worker_threads", Kind::Integer, "Threads that run asynchronous work."),
            Key::new(
                "max_blocking_threads",
                Kind::Integer,
                "Most threads for blocking work; they are started when needed.",
            ),
            Key::new(
                "drain_deadline_ms",
                Kind::Integer,
                "How long work in progress may take to end after SIGTERM, in milliseconds.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("worker_threads", self.worker_threads, 1..=256)?;
        Invalid::unless_within("max_blocking_threads", self.max_blocking_threads, 1..=512)?;
        Invalid::unless_within("drain_deadline_ms", self.drain_deadline_ms, 0..=3_600_000)
    }
}
