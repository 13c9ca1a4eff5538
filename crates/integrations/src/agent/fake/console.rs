//! A fake agent's console: what a test prints, and what was typed.

use std::{sync::Mutex, time::Duration};

use domain::agent::{
    ConsoleEntry, ConsoleMode, ConsolePage, ConsoleQuery, ConsoleSize, MAX_CONSOLE_PAGE_BYTES,
    MAX_CONSOLE_WAIT_MS, ServiceStats,
};
use tokio::sync::watch;

use crate::scenario::lock;

/// Entries in one page unless told.
const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Console {
    /// Oldest first; the numbers have no gaps.
    entries: Mutex<Vec<ConsoleEntry>>,
    next: watch::Sender<u64>,
    mode: Mutex<ConsoleMode>,
    pub(super) typed: Mutex<Vec<String>>,
    pub(super) sizes: Mutex<Vec<ConsoleSize>>,
    pub(super) stats: Mutex<ServiceStats>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            next: watch::Sender::new(1),
            mode: Mutex::default(),
            typed: Mutex::default(),
            sizes: Mutex::default(),
            stats: Mutex::default(),
        }
    }
}

impl Console {
    pub(super) fn print(&self, texts: impl IntoIterator<Item = String>) {
        let mut entries = lock(&self.entries);
        self.next.send_modify(|next| {
            for text in texts {
                entries.push(ConsoleEntry { seq: *next, at_ms: 1_800_000_000_000, text });
                *next += 1;
            }
        });
    }

    /// Forgets everything below this number, as a full ring does.
    pub(super) fn forget(&self, below: u64) {
        lock(&self.entries).retain(|entry| entry.seq >= below);
    }

    pub(super) fn set_mode(&self, mode: ConsoleMode) {
        *lock(&self.mode) = mode;
    }

    pub(super) async fn read(&self, query: ConsoleQuery) -> ConsolePage {
        let mut next = self.next.subscribe();
        let wait = Duration::from_millis(query.wait_ms.min(MAX_CONSOLE_WAIT_MS));
        let newer = next.wait_for(|next| *next > query.from);
        // Over or not, what there is now is the answer.
        let _ = tokio::time::timeout(wait, newer).await;
        let entries = lock(&self.entries);
        let next = *self.next.borrow();
        let first = entries.first().map_or(next, |entry| entry.seq);
        let mut bytes = 0;
        let fits = |entry: &&ConsoleEntry| {
            bytes += entry.text.len();
            bytes <= MAX_CONSOLE_PAGE_BYTES
        };
        let page = entries.iter().filter(|entry| entry.seq >= query.from);
        let page = page.take(query.limit.unwrap_or(PAGE)).take_while(fits).cloned().collect();
        ConsolePage { mode: *lock(&self.mode), first, next, entries: page }
    }
}
