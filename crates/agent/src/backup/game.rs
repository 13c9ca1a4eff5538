//! The game as backups meet it: whether it runs, its console's input, and what it says.

use std::time::Duration;

use domain::agent::{AgentState, BackupConsistency, BackupHooks, limits::flushed_pattern};
use regex::bytes::Regex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::error::BackupError;
use crate::service::Service;

/// Longest wait for the game's "flushed", whatever was asked.
const MAX_FLUSH: Duration = Duration::from_mins(5);
/// Entries and bytes of output looked at at once.
const AT_ONCE: (usize, usize) = (500, 256 * 1024);
/// Longest wait for a game without hooks to have started or stopped.
const STANDING: Duration = Duration::from_mins(1);

/// How long a game may take to have started or stopped.
pub(super) fn standing_limit(hooks: &BackupHooks) -> Duration {
    if hooks.before.is_empty() { STANDING } else { flush_limit(hooks) }
}

fn flush_limit(hooks: &BackupHooks) -> Duration {
    Duration::from_secs(hooks.flush_seconds).min(MAX_FLUSH)
}

/// A handle to it.
#[derive(Clone)]
pub(super) struct Game(pub(super) Service);

/// Whether files may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Down,
    Up,
    /// Starting, stopping or being installed, for longer than could be waited.
    Between,
}

impl Game {
    /// Waits for a game that starts or stops to have done so, but no longer than `limit`.
    pub(super) async fn standing(&self, limit: Duration) -> Standing {
        let end = Instant::now() + limit;
        loop {
            let seen = self.seen().await;
            let standing = self.now();
            if standing != Standing::Between || Instant::now() >= end {
                return standing;
            }
            self.changed(seen, end.saturating_duration_since(Instant::now())).await;
        }
    }

    /// Asks the game to flush its files, and waits for it to say so.
    pub(super) async fn flush(
        &self,
        standing: Standing,
        hooks: &BackupHooks,
    ) -> Result<BackupConsistency, BackupError> {
        let pattern = hooks.flushed.as_deref().map(compile).transpose()?;
        match standing {
            Standing::Down => return Ok(BackupConsistency::Down),
            Standing::Between => return Ok(BackupConsistency::Unflushed),
            Standing::Up if hooks.before.is_empty() => return Ok(BackupConsistency::Running),
            Standing::Up => {}
        }
        let from = self.0.host().output.next();
        if !self.say(&hooks.before).await {
            return Ok(BackupConsistency::Unflushed);
        }
        let Some(pattern) = pattern else { return Ok(BackupConsistency::Running) };
        let flushed = timeout(flush_limit(hooks), self.hears(&pattern, from)).await.is_ok();
        Ok(if flushed { BackupConsistency::Flushed } else { BackupConsistency::Unflushed })
    }

    /// Types lines. False when a game that is there has not taken all of them; one that is down has nothing to hear.
    pub(super) async fn say(&self, lines: &[String]) -> bool {
        match self.now() {
            Standing::Down => return true,
            Standing::Between => return false,
            Standing::Up => {}
        }
        for line in lines {
            if let Err(error) = self.0.host().type_in(format!("{line}\n")).await {
                warn!(line, ?error, "a line of a backup's hooks did not reach the game: {line} ({error:?})");
                return false;
            }
        }
        true
    }

    /// Which of its states is the latest.
    pub(super) async fn seen(&self) -> u64 {
        self.0.status_after(None, Duration::ZERO).await.revision
    }

    /// Returns once there is a later state than `seen`, or the time is over.
    pub(super) async fn changed(&self, seen: u64, limit: Duration) {
        self.0.status_after(Some(seen), limit).await;
    }

    fn now(&self) -> Standing {
        match self.0.state() {
            AgentState::Running => Standing::Up,
            AgentState::Idle | AgentState::Stopped | AgentState::Crashed | AgentState::Error => {
                Standing::Down
            }
            _ => Standing::Between,
        }
    }

    /// Returns once there is output that matches, at `from` or after it.
    async fn hears(&self, pattern: &Regex, mut from: u64) {
        let output = &self.0.host().output;
        loop {
            // Before the look: what is told already, and not found then, is lost.
            let told = output.next();
            match output.read(from, AT_ONCE.0, AT_ONCE.1).await {
                Ok(part) if !part.entries.is_empty() => {
                    if part.entries.iter().any(|entry| pattern.is_match(&entry.text)) {
                        return;
                    }
                    from = part.next;
                }
                _ => {
                    from = from.max(told);
                    output.wait_for(from, MAX_FLUSH).await;
                }
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, BackupError> {
    flushed_pattern(pattern).map_err(|error| {
        BackupError::Invalid(format!("The pattern for flushed files makes no sense: {error}"))
    })
}
