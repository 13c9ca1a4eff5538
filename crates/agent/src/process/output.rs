//! Output at hand: the output log on disk for those who read by number, the last lines in memory for faults and probes.

use std::{io, path::Path, sync::Arc, time::Duration};

use domain::agent::ConsoleMode;
use shim::{
    output_log::{Part, Reader, lines::LineSplitter},
    protocol::Run,
};
use tokio::{
    sync::{Mutex, watch},
    task::spawn_blocking,
    time::timeout,
};
use tracing::warn;

use super::console::Console;

/// Read into memory at once: entries, and bytes of their text.
const AT_ONCE: (usize, usize) = (1_000, 256 * 1024);

/// What was written, by number and by line.
#[derive(Debug)]
pub struct Output {
    on_disk: Arc<Reader>,
    /// The last lines.
    pub console: Console,
    /// The number that the next output will get, as far as it was told.
    next: watch::Sender<u64>,
    feed: Mutex<Feed>,
}

/// Where reading into memory stands.
#[derive(Debug, Default)]
struct Feed {
    next: u64,
    /// Makes lines of what a terminal shows.
    splitter: Option<LineSplitter>,
}

impl Output {
    /// Of the output log in `folder`.
    pub fn new(folder: &Path) -> Self {
        let (on_disk, next) = (Arc::new(Reader::new(folder)), watch::Sender::new(0));
        Self { on_disk, console: Console::default(), next, feed: Mutex::default() }
    }

    /// The number that the next output will get.
    pub fn next(&self) -> u64 {
        *self.next.borrow()
    }

    /// Returns when there is output at `from` or after it, or the time is over.
    pub async fn wait_for(&self, from: u64, limit: Duration) {
        // The sender is ours, so an end of the time is all that can happen.
        let _ = timeout(limit, self.next.subscribe().wait_for(|next| *next > from)).await;
    }

    /// Entries from a number on; see [`Reader::read`].
    pub async fn read(&self, from: u64, count: usize, bytes: usize) -> io::Result<Part> {
        let on_disk = Arc::clone(&self.on_disk);
        spawn_blocking(move || on_disk.read(from, count, bytes)).await?
    }

    /// Reads the last lines of an agent before into memory, up to the beginning of `run` if there is one. All of the
    /// run is still to be read if it is to be looked at `whole`, else what memory has room for.
    pub async fn recall(&self, run: Option<&Run>, whole: bool) -> io::Result<()> {
        let on_disk = Arc::clone(&self.on_disk);
        let (near, end) =
            spawn_blocking(move || Ok::<_, io::Error>((on_disk.near_end(0)?, on_disk.end()?))).await??;
        let first = run.map_or(end, |run| run.first);
        self.feed.lock().await.next = if whole { near.min(first) } else { near };
        self.next.send_replace(first.min(end));
        self.advance(first).await;
        if let Some(run) = run {
            self.expect(run.mode).await;
            self.console.begin_run();
        }
        Ok(())
    }

    /// From here on output comes as lines, or from a terminal.
    pub async fn expect(&self, mode: ConsoleMode) {
        self.feed.lock().await.splitter = (mode == ConsoleMode::Pty).then(LineSplitter::default);
    }

    /// There is output before `next`: wakes those who wait, and reads it into memory.
    pub async fn advance(&self, next: u64) {
        self.next.send_if_modified(|known| {
            let more = *known < next;
            *known = next.max(*known);
            more
        });
        let mut feed = self.feed.lock().await;
        while feed.next < next {
            match self.read(feed.next, AT_ONCE.0, AT_ONCE.1).await {
                Ok(part) if !part.entries.is_empty() => {
                    part.entries.iter().for_each(|entry| feed.take(&entry.text, &self.console));
                    feed.next = part.next;
                }
                outcome => {
                    if let Err(error) = outcome {
                        warn!(%error, "output before number {next} cannot be read ({error}); faults and probes go on without it");
                    }
                    feed.next = next;
                }
            }
        }
    }

    /// The run has ended; without `next` as its record has it, with what is there.
    pub async fn end_run(&self, next: Option<u64>) {
        let on_disk = Arc::clone(&self.on_disk);
        let end = || async { spawn_blocking(move || on_disk.end()).await.ok()?.ok() };
        if let Some(next) = if next.is_some() { next } else { end().await } {
            self.advance(next).await;
        }
        if let Some(last) = self.feed.lock().await.splitter.take().and_then(LineSplitter::finish) {
            self.console.push(last);
        }
    }
}

impl Feed {
    fn take(&mut self, text: &[u8], console: &Console) {
        match &mut self.splitter {
            Some(splitter) => splitter.push(text, |line| console.push(line)),
            None => console.push(String::from_utf8_lossy(text).into_owned()),
        }
    }
}
