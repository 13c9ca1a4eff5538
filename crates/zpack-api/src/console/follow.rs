//! What one socket is told next: it follows the tap by number, and reads from the agent what it has missed there.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::extract::ws::Utf8Bytes;
use domain::agent::{ConsoleMode, ConsolePage};
use futures_util::future::BoxFuture;
use integrations::agent::AgentError;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    buffer::{Batch, Found, batches},
    protocol::{Close, ToClient},
    tap::{Known, RECENT, Situation, Tap},
};
use crate::agent::Agents;

/// How long an agent may be away before a client is better off to come again later.
const AWAY: Duration = Duration::from_secs(15);
/// Until a page is asked for again after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// Where a socket begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// It has not said so.
    Unsaid,
    /// With the recent entries.
    Recent,
    /// With this number.
    At(u64),
    /// It has begun.
    Begun,
}

/// Of a page that was read for this socket alone.
enum Missed {
    Gap(u64, u64),
    Batch(Batch),
}

/// What a socket has been told, and what comes next.
pub struct Follower {
    agents: Agents,
    tap: Arc<Tap>,
    changes: watch::Receiver<u64>,
    start: Start,
    /// The number of the next entry that it wants.
    place: u64,
    missed: VecDeque<Missed>,
    reading: Option<BoxFuture<'static, Result<ConsolePage, AgentError>>>,
    not_before: Instant,
    /// The console that it was greeted with.
    epoch: Option<u64>,
    told_away: bool,
    told_status: u64,
    told_stats: u64,
}

impl Follower {
    /// With nothing told yet.
    pub fn new(agents: &Agents, tap: &Arc<Tap>) -> Self {
        Self {
            agents: agents.clone(),
            tap: tap.clone(),
            changes: tap.changes(),
            start: Start::Unsaid,
            place: 0,
            missed: VecDeque::new(),
            reading: None,
            not_before: Instant::now(),
            epoch: None,
            told_away: false,
            told_status: 0,
            told_stats: 0,
        }
    }

    /// Whether it has said where to begin.
    pub fn resumed(&self) -> bool {
        self.start != Start::Unsaid
    }

    /// It says where to begin.
    pub fn resume(&mut self, from: Option<u64>) {
        self.start = from.map_or(Start::Recent, |from| Start::At(from.max(1)));
        // It may have waited for this.
        self.changes.mark_changed();
    }

    /// How what it types is read.
    pub fn mode(&self) -> ConsoleMode {
        self.tap.situation().known.map_or(ConsoleMode::Pipes, |known| known.mode)
    }

    /// What it is told next; an error when it has to go. May be dropped and asked for again.
    pub async fn next(&mut self) -> Result<Utf8Bytes, Close> {
        loop {
            self.changes.mark_unchanged();
            let situation = self.tap.situation();
            if let Some(text) = self.look(&situation)? {
                return Ok(text);
            }
            let patience = situation.away_since.map(|since| since + AWAY);
            tokio::select! {
                page = read(&mut self.reading) => {
                    self.reading = None;
                    if let Some(text) = self.take(page) {
                        return Ok(text);
                    }
                }
                changed = self.changes.changed() => changed.map_err(|_| Close::Internal)?,
                () = until(patience) => {}
                () = until((self.not_before > Instant::now()).then_some(self.not_before)) => {}
            }
        }
    }

    fn look(&mut self, situation: &Situation) -> Result<Option<Utf8Bytes>, Close> {
        match situation.away_since {
            Some(since) if since.elapsed() >= AWAY => return Err(Close::TryLater),
            Some(_) if !self.told_away => {
                self.told_away = true;
                let detail = "The server's machine does not answer at present. Nothing is lost; this goes on by itself.";
                return Ok(Some(ToClient::Error { code: "agent_away", detail, fatal: false }.text()));
            }
            Some(_) => {}
            None => self.told_away = false,
        }
        let Some(known) = situation.known else { return Ok(None) };
        if self.epoch != Some(known.epoch) {
            return Ok(Some(self.greet(situation, known)));
        }
        Ok(self.news(situation).or_else(|| self.output(known)))
    }

    fn greet(&mut self, situation: &Situation, known: Known) -> Utf8Bytes {
        if self.epoch.is_some() && self.start == Start::Begun {
            // The console has begun anew: its numbers are smaller than those that were told.
            self.start = Start::Recent;
            self.missed.clear();
            self.reading = None;
        }
        self.epoch = Some(known.epoch);
        self.told_status = situation.status.1;
        let state = situation.status.0.as_deref();
        ToClient::Hello { state, mode: known.mode, first: known.first, next: known.next }.text()
    }

    fn news(&mut self, situation: &Situation) -> Option<Utf8Bytes> {
        if let (Some(state), changes) = &situation.status
            && self.told_status != *changes
        {
            self.told_status = *changes;
            return Some(ToClient::State { state }.text());
        }
        if let (Some(stats), changes) = &situation.stats
            && self.told_stats != *changes
        {
            self.told_stats = *changes;
            return Some(ToClient::Stats { stats }.text());
        }
        None
    }

    fn output(&mut self, known: Known) -> Option<Utf8Bytes> {
        match self.start {
            Start::Unsaid => return None,
            Start::Recent => self.place = known.next.saturating_sub(RECENT).max(known.first),
            Start::At(from) => {
                self.place = from;
                if from > known.next {
                    // Another process of ours may have told it more than this tap knows: the agent knows best.
                    self.read_page();
                }
            }
            Start::Begun => {}
        }
        self.start = Start::Begun;
        if let Some(missed) = self.missed.pop_front() {
            return Some(match missed {
                Missed::Gap(from, to) => self.gap(from, to),
                Missed::Batch(batch) => self.batch(&batch),
            });
        }
        match self.tap.at(self.place) {
            Found::Batch(batch) => Some(self.batch(&batch)),
            Found::Gap { from, to } => Some(self.gap(from, to)),
            Found::Behind => {
                self.read_page();
                None
            }
            Found::Nothing => None,
        }
    }

    fn batch(&mut self, batch: &Batch) -> Utf8Bytes {
        let text = batch.message_from(self.place);
        self.place = batch.end();
        text
    }

    fn gap(&mut self, from: u64, to: u64) -> Utf8Bytes {
        self.place = to + 1;
        ToClient::Gap { from, to }.text()
    }

    fn read_page(&mut self) {
        if self.reading.is_none() && self.not_before <= Instant::now() {
            let (agents, tap, from) = (self.agents.clone(), self.tap.clone(), self.place);
            self.reading = Some(Box::pin(async move { tap.page(&agents, from).await }));
        }
    }

    /// Takes a page over that was read for this socket.
    fn take(&mut self, page: Result<ConsolePage, AgentError>) -> Option<Utf8Bytes> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "a page of a console cannot be read");
                self.not_before = Instant::now() + RETRY;
                return None;
            }
        };
        if page.next < self.place {
            self.place = page.next.saturating_sub(RECENT).max(page.first);
            let state = self.tap.situation().status.0;
            let (mode, first, next) = (page.mode, page.first, page.next);
            return Some(ToClient::Hello { state: state.as_deref(), mode, first, next }.text());
        }
        let mut expected = self.place;
        let entries = page.entries.into_iter().filter(|entry| entry.seq >= self.place).collect();
        for batch in batches(entries) {
            if batch.from() > expected {
                self.missed.push_back(Missed::Gap(expected, batch.from() - 1));
            }
            expected = batch.end();
            self.missed.push_back(Missed::Batch(batch));
        }
        if expected == self.place && page.first > expected {
            self.missed.push_back(Missed::Gap(expected, page.first - 1));
        } else if expected == self.place {
            self.not_before = Instant::now() + RETRY;
        }
        None
    }
}

async fn read(
    reading: &mut Option<BoxFuture<'static, Result<ConsolePage, AgentError>>>,
) -> Result<ConsolePage, AgentError> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
