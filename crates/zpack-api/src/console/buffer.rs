//! The most recent output of one console, in batches that all its sockets share.

use std::{collections::VecDeque, sync::Arc};

use axum::extract::ws::Utf8Bytes;
use domain::agent::ConsoleEntry;

use super::protocol::ToClient;

/// Most text of one batch, in bytes, unless a single entry has more.
const BATCH_BYTES: usize = 32 * 1024;
/// Most entries of one batch.
const BATCH_ENTRIES: usize = 256;
/// Most text that is kept, in bytes. Whoever is further behind reads from the agent.
const KEPT_BYTES: usize = 256 * 1024;
/// Most batches that are kept: a console that prints a line at a time has small ones.
const KEPT_BATCHES: usize = 1_024;

/// Consecutive entries, and the message that tells of all of them.
#[derive(Debug)]
pub struct Batch {
    from: u64,
    entries: Vec<ConsoleEntry>,
    message: Utf8Bytes,
    bytes: usize,
}

impl Batch {
    fn new(entries: Vec<ConsoleEntry>) -> Option<Self> {
        let from = entries.first()?.seq;
        let bytes = entries.iter().map(|entry| entry.text.len()).sum();
        Some(Self { from, message: message(&entries), entries, bytes })
    }

    /// The number of its first entry.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The number after its last entry.
    pub fn end(&self) -> u64 {
        self.entries.last().map_or(self.from, |last| last.seq.saturating_add(1))
    }

    /// What a socket is sent that wants what is in here from this number on.
    pub fn message_from(&self, from: u64) -> Utf8Bytes {
        if from <= self.from {
            return self.message.clone();
        }
        let skip = self.entries.partition_point(|entry| entry.seq < from);
        message(self.entries.get(skip..).unwrap_or_default())
    }
}

fn message(entries: &[ConsoleEntry]) -> Utf8Bytes {
    ToClient::Output { entries: entries.iter().map(Into::into).collect() }.text()
}

/// Cuts a page into batches; wherever a number is missing, a batch ends.
pub fn batches(entries: Vec<ConsoleEntry>) -> Vec<Batch> {
    let mut all = Vec::new();
    let (mut batch, mut bytes) = (Vec::<ConsoleEntry>::new(), 0);
    for entry in entries {
        let follows = batch.last().is_none_or(|last| last.seq.saturating_add(1) == entry.seq);
        let full = batch.len() >= BATCH_ENTRIES || bytes + entry.text.len() > BATCH_BYTES;
        if !batch.is_empty() && (full || !follows) {
            all.extend(Batch::new(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes += entry.text.len();
        batch.push(entry);
    }
    all.extend(Batch::new(batch));
    all
}

/// What a socket finds at its place.
#[derive(Debug)]
pub enum Found {
    /// Output: send it from there on.
    Batch(Arc<Batch>),
    /// These numbers are lost; the next output has `to + 1`.
    Gap {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// It is too far behind: the agent may still have it.
    Behind,
    /// Nothing yet.
    Nothing,
}

/// The recent batches, oldest first.
#[derive(Debug, Default)]
pub struct Buffer {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

impl Buffer {
    /// Takes over new batches and drops the oldest.
    pub fn push(&mut self, new: Vec<Batch>) {
        for batch in new {
            self.bytes += batch.bytes;
            self.batches.push_back(Arc::new(batch));
        }
        while self.bytes > KEPT_BYTES || self.batches.len() > KEPT_BATCHES {
            // One batch always stays: an entry may have more than all of them may.
            if self.batches.len() <= 1 {
                break;
            }
            let Some(dropped) = self.batches.pop_front() else { break };
            self.bytes -= dropped.bytes;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What there is at this number, where `next` is the number of output yet to come.
    pub fn at(&self, place: u64, next: u64) -> Found {
        if place >= next {
            return Found::Nothing;
        }
        let Some(oldest) = self.batches.front() else { return Found::Behind };
        if place < oldest.from {
            return Found::Behind;
        }
        let index = self.batches.partition_point(|batch| batch.end() <= place);
        match self.batches.get(index) {
            Some(batch) if batch.from > place => Found::Gap { from: place, to: batch.from - 1 },
            Some(batch) => Found::Batch(batch.clone()),
            None => Found::Gap { from: place, to: next - 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(numbers: impl IntoIterator<Item = u64>, text: &str) -> Vec<ConsoleEntry> {
        numbers.into_iter().map(|seq| ConsoleEntry { seq, at_ms: 0, text: text.to_owned() }).collect()
    }

    fn numbers(message: &Utf8Bytes) -> Vec<u64> {
        let value: serde_json::Value = serde_json::from_str(message).unwrap();
        value["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_batch_is_bounded_and_has_no_gap() {
        let ends = |all: &[Batch]| all.iter().map(|batch| (batch.from, batch.end())).collect::<Vec<_>>();
        assert_eq!(ends(&batches(entries([1, 2, 5, 6], "x"))), [(1, 3), (5, 7)]);
        assert_eq!(ends(&batches(entries(1..=300, "x"))), [(1, 257), (257, 301)]);
        let long = "x".repeat(BATCH_BYTES);
        assert_eq!(ends(&batches(entries(1..=2, &long))), [(1, 2), (2, 3)]);
        assert!(batches(Vec::new()).is_empty());
    }

    #[test]
    fn whoever_follows_by_number_gets_each_entry_once() {
        let mut buffer = Buffer::default();
        buffer.push(batches(entries(1..=600, "x")));
        for start in [1, 2, 256, 257, 600] {
            let (mut place, mut seen) = (start, Vec::new());
            while let Found::Batch(batch) = buffer.at(place, 601) {
                seen.extend(numbers(&batch.message_from(place)));
                place = batch.end();
            }
            assert_eq!(seen, (start..=600).collect::<Vec<_>>());
            assert!(matches!(buffer.at(place, 601), Found::Nothing));
        }
    }

    #[test]
    fn what_is_lost_is_named_and_what_is_older_is_not_claimed_to_be() {
        let mut buffer = Buffer::default();
        buffer.push(batches(entries(10..=12, "x")));
        buffer.push(batches(entries(20..=21, "x")));
        assert!(matches!(buffer.at(9, 22), Found::Behind));
        assert!(matches!(buffer.at(13, 22), Found::Gap { from: 13, to: 19 }));
        assert!(matches!(buffer.at(15, 22), Found::Gap { from: 15, to: 19 }));
        assert!(matches!(buffer.at(22, 25), Found::Gap { from: 22, to: 24 }));
        buffer.clear();
        assert!(matches!(buffer.at(1, 2), Found::Behind));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut buffer = Buffer::default();
        let text = "x".repeat(1_000);
        for n in 0..2_000 {
            buffer.push(batches(entries([n], &text)));
        }
        assert!(buffer.bytes <= KEPT_BYTES && buffer.batches.len() <= KEPT_BATCHES, "{}", buffer.bytes);
        assert!(matches!(buffer.at(0, 2_000), Found::Behind));
        assert!(matches!(buffer.at(1_999, 2_000), Found::Batch(_)));
        for n in 2_000..5_000 {
            buffer.push(batches(entries([n], "")));
        }
        assert_eq!(buffer.batches.len(), KEPT_BATCHES);
    }
}
