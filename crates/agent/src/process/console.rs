//! The last lines of output, in memory, and a watch for the line that says "ready".

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use regex::Regex;
use tokio::sync::oneshot;

/// Lines kept.
pub const MAX_LINES: usize = 1_000;
/// Bytes kept, whatever the number of lines: a game that logs long lines may not grow the agent.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Bounded output of the service, shared by readers of its pipes, probes and the interface.
#[derive(Debug, Default)]
pub struct Console(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    lines: VecDeque<String>,
    bytes: usize,
    /// How many of `lines` belong to the run under way.
    of_run: usize,
    watches: Vec<(Regex, oneshot::Sender<()>)>,
}

impl Console {
    /// Adds a line, dropping the oldest ones.
    pub fn push(&self, line: String) {
        let mut recent = self.recent();
        // Those who gave up do not wait any more.
        recent.watches.retain(|(_, found)| !found.is_closed());
        for (_, found) in recent.watches.extract_if(.., |(pattern, _)| pattern.is_match(&line)) {
            let _ = found.send(());
        }
        recent.bytes += line.len();
        recent.lines.push_back(line);
        while recent.lines.len() > MAX_LINES || recent.bytes > MAX_BYTES {
            let dropped = recent.lines.pop_front().map_or(0, |line| line.len());
            recent.bytes -= dropped;
        }
        recent.of_run = (recent.of_run + 1).min(recent.lines.len());
    }

    /// From here on lines belong to a new run; earlier ones stay readable.
    pub fn begin_run(&self) {
        let mut recent = self.recent();
        recent.of_run = 0;
        recent.watches.clear();
    }

    /// The last `count` lines, oldest first.
    pub fn tail(&self, count: usize) -> Vec<String> {
        let recent = self.recent();
        recent.lines.iter().skip(recent.lines.len().saturating_sub(count)).cloned().collect()
    }

    /// The last `count` lines of the run under way, oldest first.
    pub fn tail_of_run(&self, count: usize) -> Vec<String> {
        let of_run = self.recent().of_run;
        self.tail(count.min(of_run))
    }

    /// Answers with the first line of this run that matches, including those that are there already.
    pub fn watch(&self, pattern: Regex) -> oneshot::Receiver<()> {
        let (found, wait) = oneshot::channel();
        let mut recent = self.recent();
        let earlier = recent.lines.len() - recent.of_run;
        if recent.lines.iter().skip(earlier).any(|line| pattern.is_match(line)) {
            let _ = found.send(());
        } else {
            recent.watches.push((pattern, found));
        }
        wait
    }

    /// A panic elsewhere leaves whole lines behind: nothing here is half done.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
