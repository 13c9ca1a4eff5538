//! The game as backups meet it: whether it runs, its console's input, and what it says.

use std::time::Duration;

use domain::agent::{AgentState, BackupConsistency, BackupHooks};
use regex::bytes::Regex;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::error::BackupError;
use crate::service::Service;

/// Longest wait for the game's "settled", whatever was asked.
const MAX_SETTLE: Duration = Duration::from_mins(5);
/// Longest pattern that is compiled to, in bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Entries and bytes of output looked at at once.
const AT_ONCE: (usize, usize) = (500, 256 * 1024);

/// A handle to it.
#[derive(Clone)]
pub(super) struct Game(pub(super) Service);

impl Game {
    pub(super) async fn runs(&self) -> bool {
        self.0.status_after(None, Duration::ZERO).await.state == AgentState::Running
    }

    /// Asks the game to settle its files, and waits for it to say so.
    pub(super) async fn settle(&self, hooks: &BackupHooks) -> Result<BackupConsistency, BackupError> {
        let pattern = hooks.settled.as_deref().map(compile).transpose()?;
        if !self.runs().await {
            return Ok(BackupConsistency::Down);
        }
        if hooks.before.is_empty() {
            return Ok(BackupConsistency::Running);
        }
        let from = self.0.host().output.next();
        self.say(&hooks.before).await;
        let Some(pattern) = pattern else { return Ok(BackupConsistency::Running) };
        let limit = Duration::from_secs(hooks.settle_seconds).min(MAX_SETTLE);
        let settled = timeout_at(Instant::now() + limit, self.hears(&pattern, from)).await.is_ok();
        Ok(if settled { BackupConsistency::Settled } else { BackupConsistency::Unsettled })
    }

    /// Types lines, if the game runs.
    pub(super) async fn say(&self, lines: &[String]) {
        if !self.runs().await {
            return;
        }
        for line in lines {
            if let Err(error) = self.0.host().type_in(format!("{line}\n")).await {
                warn!(line, ?error, "a line of a backup's hooks did not reach the game");
            }
        }
    }

    /// Returns once there is output that matches, at `from` or after it.
    async fn hears(&self, pattern: &Regex, mut from: u64) {
        let output = &self.0.host().output;
        loop {
            match output.read(from, AT_ONCE.0, AT_ONCE.1).await {
                Ok(part) if !part.entries.is_empty() => {
                    if part.entries.iter().any(|entry| pattern.is_match(&entry.text)) {
                        return;
                    }
                    from = part.next;
                }
                _ => output.wait_for(from, MAX_SETTLE).await,
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, BackupError> {
    regex::bytes::RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build().map_err(|error| {
        BackupError::Invalid(format!("The pattern for settled files makes no sense: {error}"))
    })
}
