//! A console's memory, for scripts.

use chrono::{DateTime, Utc};
use domain::agent::ConsoleEntry;
use serde::Serialize;
use utoipa::ToSchema;

/// A part of what a server has printed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsoleHistory)]
pub struct ConsoleHistoryView {
    /// The oldest number still kept.
    pub first: u64,
    /// The number that the next output will get.
    pub next: u64,
    /// What of the numbers after `since` is not kept any more.
    #[schema(required)]
    pub gap: Option<GapView>,
    /// In order.
    pub entries: Vec<ConsoleEntryView>,
}

/// Numbers that nobody will see again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsoleGap)]
pub struct GapView {
    /// First.
    pub from: u64,
    /// Last.
    pub to: u64,
}

/// A line without its end, or what a terminal printed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsoleEntry)]
pub struct ConsoleEntryView {
    /// Its number; one more each, through restarts of whatever there is.
    pub seq: u64,
    /// When it was printed.
    pub at: DateTime<Utc>,
    /// The text.
    pub text: String,
}

impl From<ConsoleEntry> for ConsoleEntryView {
    fn from(it: ConsoleEntry) -> Self {
        let at = DateTime::from_timestamp_millis(it.at_ms).unwrap_or_default();
        Self { seq: it.seq, at, text: it.text }
    }
}
