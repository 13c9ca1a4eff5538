//! One console's tap: one reader of its agent for all the sockets that are open on it, and only while there are any.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    agent::{AgentStatus, ConsoleMode, ConsolePage, ConsoleQuery},
    ids::InstanceId,
};
use integrations::agent::{AgentError, AgentSession, Pace};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use super::{
    buffer::{Buffer, Found, batches},
    protocol::Stats,
};
use crate::{
    agent::{Agents, call},
    view::StatusView,
};

/// How many recent entries whoever asks for no number gets.
pub const RECENT: u64 = 200;
/// How long a read is held open. Together with the client's margin the longest time until an agent that has vanished
/// without a word is missed.
const READ_WAIT: Duration = Duration::from_secs(8);
/// How long a status is held open.
const STATUS_WAIT: Duration = Duration::from_secs(20);
/// Beyond a wait no answer is worth waiting for.
const MARGIN: Duration = Duration::from_secs(6);
/// How often it is looked what the service uses.
const STATS_EVERY: Duration = Duration::from_secs(2);
/// How often an agent that always has output is asked for it, on average.
const OUTPUT_EVERY: Duration = Duration::from_millis(10);
/// Bytes a second that are taken of a console in the long run: some twenty thousand lines, more than anybody reads. What a
/// game prints beyond that stays in its log, and is read from there.
const OUTPUT_BYTES_PER_SECOND: u64 = 2 << 20;
/// What an entry costs beside its text.
const ENTRY_BYTES: usize = 64;
/// How often an agent whose status changes all the time is asked for it, on average.
const STATUS_EVERY: Duration = Duration::from_millis(250);
/// Pauses after failures: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Sockets that read pages of their own at the same time.
const OWN_READS: usize = 2;

/// What is known of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// How output is kept.
    pub mode: ConsoleMode,
    /// The oldest number kept.
    pub first: u64,
    /// The number of the next output.
    pub next: u64,
    /// Increases when the console begins anew, with smaller numbers.
    pub epoch: u64,
}

/// What sockets see.
#[derive(Default)]
struct State {
    known: Option<Known>,
    /// The number that is read next.
    place: u64,
    buffer: Buffer,
    away_since: Option<Instant>,
    status: Option<Arc<StatusView>>,
    status_changes: u64,
    stats: Option<Arc<Stats>>,
    stats_changes: u64,
}

/// A look at everything but output.
#[derive(Clone)]
pub struct Situation {
    /// Nothing before the agent has answered once.
    pub known: Option<Known>,
    /// Since when the agent does not answer.
    pub away_since: Option<Instant>,
    /// What the process does, and how often that has changed.
    pub status: (Option<Arc<StatusView>>, u64),
    /// What it uses, and how often that was seen.
    pub stats: (Option<Arc<Stats>>, u64),
}

/// A console's tap.
pub struct Tap {
    instance: InstanceId,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    own_reads: Semaphore,
}

impl Tap {
    /// Of this instance; [`Tap::run`] feeds it.
    pub fn new(instance: InstanceId) -> Self {
        Self {
            instance,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            own_reads: Semaphore::new(OWN_READS),
        }
    }

    /// Told of every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Everything but output.
    pub fn situation(&self) -> Situation {
        let state = self.state();
        Situation {
            known: state.known,
            away_since: state.away_since,
            status: (state.status.clone(), state.status_changes),
            stats: (state.stats.clone(), state.stats_changes),
        }
    }

    /// What there is at this number.
    pub fn at(&self, place: u64) -> Found {
        let state = self.state();
        state.buffer.at(place, state.place)
    }

    /// A page for a socket that is behind what is kept here.
    pub async fn page(&self, agents: &Agents, from: u64) -> Result<ConsolePage, AgentError> {
        let _permit = self.own_reads.acquire().await;
        let session = agents.session_of(self.instance).await?;
        let query = ConsoleQuery { from, wait_ms: 0, limit: None };
        call(session.console_read(query)).await
    }

    /// Feeds the tap for as long as it is polled.
    pub async fn run(&self, agents: &Agents) {
        // Before output is known of, so that the first that sockets hear says how the server is.
        let first = async { agents.session_of(self.instance).await?.status(None, Duration::ZERO).await };
        if let Ok(status) = in_time(Duration::ZERO, first).await {
            self.show(status);
        }
        tokio::join!(self.follow_output(agents), self.follow_status(agents), self.follow_stats(agents));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.send_modify(|changes| *changes += 1);
    }

    async fn follow_output(&self, agents: &Agents) {
        let (mut kept, mut pause, mut reads) = (None, PAUSES.0, Pace::new(OUTPUT_EVERY));
        loop {
            reads.next().await;
            let query = match self.state() {
                state if state.known.is_none() => ConsoleQuery { from: 0, wait_ms: 0, limit: Some(1) },
                // An agent that was away is asked for an answer at once: a quiet game has nothing new to say for long.
                state => {
                    let wait_ms = if state.away_since.is_some() { 0 } else { millis(READ_WAIT) };
                    ConsoleQuery { from: state.place, wait_ms, limit: None }
                }
            };
            let read = async { reached(agents, self.instance, &mut kept).await?.console_read(query).await };
            match in_time(READ_WAIT, read).await {
                Ok(page) => {
                    pause = PAUSES.0;
                    reads.spend(cost(&page));
                    self.take(page);
                }
                Err(error) => {
                    self.miss(&error);
                    kept = None;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Takes a page over. Whatever an agent sends, numbers only go up, until the console begins anew.
    fn take(&self, page: ConsolePage) {
        let nothing_new = {
            let state = self.state();
            let known = state.known.is_some_and(|it| (it.first, it.next) == (page.first, page.next));
            known && state.place >= page.next && state.away_since.is_none()
        };
        if nothing_new {
            return;
        }
        self.change(|state| {
            let recent = page.next.saturating_sub(RECENT).max(page.first);
            let known = |epoch| Known { mode: page.mode, first: page.first, next: page.next, epoch };
            if state.away_since.take().is_some() {
                // Whoever was told that the agent is away is told that it is back.
                state.status_changes += 1;
            }
            match state.known {
                None => {
                    (state.known, state.place) = (Some(known(0)), recent);
                    return;
                }
                Some(before) if page.next < state.place => {
                    tracing::warn!(instance = %self.instance, "the output of {} is numbered from the beginning again: its log was lost, and open consoles start over", self.instance);
                    state.buffer.clear();
                    (state.known, state.place) = (Some(known(before.epoch + 1)), recent);
                    return;
                }
                Some(before) => state.known = Some(known(before.epoch)),
            }
            let mut expected = state.place;
            let new = page.entries.into_iter().filter(|entry| {
                let is_new = entry.seq >= expected;
                expected = expected.max(entry.seq.saturating_add(1));
                is_new
            });
            let new = batches(new.collect());
            // Without entries, everything below `first` is lost.
            state.place = new.last().map_or(state.place.max(page.first), super::buffer::Batch::end);
            state.buffer.push(new);
        });
    }

    fn miss(&self, error: &AgentError) {
        tracing::debug!(instance = %self.instance, %error, "a console cannot be read");
        if self.state().away_since.is_none() {
            self.change(|state| state.away_since = Some(Instant::now()));
        }
    }

    async fn follow_status(&self, agents: &Agents) {
        let (mut kept, mut since, mut pace) = (None, None, Pace::new(STATUS_EVERY));
        loop {
            pace.next().await;
            let look =
                async { reached(agents, self.instance, &mut kept).await?.status(since, STATUS_WAIT).await };
            match in_time(STATUS_WAIT, look).await {
                Ok(status) if Some(status.revision) == since => {}
                Ok(status) => {
                    since = Some(status.revision);
                    self.show(status);
                }
                Err(_) => {
                    // Another agent process counts revisions in its own way.
                    (kept, since) = (None, None);
                    tokio::time::sleep(PAUSES.1).await;
                }
            }
        }
    }

    fn show(&self, status: AgentStatus) {
        let view = StatusView::from(status);
        if self.state().status.as_deref() == Some(&view) {
            return;
        }
        self.change(|state| {
            state.status = Some(Arc::new(view));
            state.status_changes += 1;
        });
    }

    async fn follow_stats(&self, agents: &Agents) {
        let (mut kept, mut before) = (None, None);
        loop {
            let look = async { reached(agents, self.instance, &mut kept).await?.stats().await };
            if let Ok(now) = in_time(Duration::ZERO, look).await {
                let at = Instant::now();
                let passed = before.as_ref().map(|(stats, then)| (stats, at.duration_since(*then)));
                let stats = Arc::new(Stats::between(passed, &now));
                before = Some((now, at));
                self.change(|state| {
                    state.stats = Some(stats);
                    state.stats_changes += 1;
                });
            } else {
                (kept, before) = (None, None);
            }
            tokio::time::sleep(STATS_EVERY).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn in_time<T>(
    wait: Duration,
    answer: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    let late = |_| AgentError::Unreachable("no answer in time".into());
    tokio::time::timeout(wait + MARGIN, answer).await.map_err(late)?
}

/// The session that was kept, or a new one: after a failure the agent may be elsewhere.
async fn reached<'a>(
    agents: &Agents,
    instance: InstanceId,
    kept: &'a mut Option<Arc<dyn AgentSession>>,
) -> Result<&'a Arc<dyn AgentSession>, AgentError> {
    if kept.is_none() {
        *kept = Some(agents.session_of(instance).await?);
    }
    kept.as_ref().ok_or_else(|| AgentError::Unreachable("no session".into()))
}

/// The time that a page's output may take.
fn cost(page: &ConsolePage) -> Duration {
    let bytes = page.entries.iter().map(|entry| entry.text.len() + ENTRY_BYTES).sum::<usize>();
    let micros = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / OUTPUT_BYTES_PER_SECOND;
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use domain::agent::ConsoleEntry;

    use super::*;

    #[test]
    fn a_second_of_output_is_as_much_as_may_be_taken_in_one() {
        let entry = |seq| ConsoleEntry { seq, at_ms: 0, text: "x".repeat(1024 - ENTRY_BYTES) };
        let entries = (0..2048).map(entry).collect();
        let page = ConsolePage { mode: ConsoleMode::Pipes, first: 0, next: 2048, entries };
        assert_eq!(cost(&page), Duration::from_secs(1));
    }
}
