//! Rounds of a load and of its baseline, taking turns so that whatever changes meanwhile changes for both.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use super::samples::rate;
use crate::interrupt;

/// What one round led to.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// From the first request to the last answer.
    pub(super) time: Duration,
    /// How long each took that was done.
    pub(super) latencies: Vec<Duration>,
    /// How many were refused for a moment (503): a disk that stalls longer than the API waits for a connection.
    pub(super) refused: usize,
}

impl Round {
    pub(super) fn join(rounds: Vec<Self>) -> Self {
        let mut all = Self::default();
        for round in rounds {
            all.time += round.time;
            all.refused += round.refused;
            all.latencies.extend(round.latencies);
        }
        all
    }

    pub(super) fn rate(&self) -> f64 {
        rate(self.latencies.len(), self.time)
    }
}

/// So many clients at once, each until the time is over.
pub(super) fn side_by_side(
    clients: usize,
    time: Duration,
    client: impl Fn(usize, Instant) -> Result<Round> + Sync,
) -> Result<Round> {
    interrupt::check()?;
    let begun = Instant::now();
    let until = begun + time;
    let rounds = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|n| {
                let client = &client;
                scope.spawn(move || client(n, until))
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Round>>| {
            thread.join().map_err(|_| anyhow!("a client panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let round = Round { time: begun.elapsed(), ..Round::join(rounds) };
    ensure!(!round.latencies.is_empty(), "nothing was done");
    Ok(round)
}
