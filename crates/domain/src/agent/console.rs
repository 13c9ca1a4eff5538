//! The console as the agent keeps it: a bounded ring on disk, read by sequence number.

use serde::{Deserialize, Serialize};

use crate::text;

/// Longest that `GET /v1/console/read` may be held open, in milliseconds.
pub const MAX_CONSOLE_WAIT_MS: u64 = 20_000;

/// Most bytes of text in one [`ConsolePage`].
pub const MAX_CONSOLE_PAGE_BYTES: usize = 256 * 1024;

/// Longest input in one [`ConsoleInput`], in bytes.
pub const MAX_CONSOLE_INPUT_BYTES: usize = 4 * 1024;

/// How a service's output and input are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleMode {
    /// Three pipes. Output is kept line by line; input is whole lines.
    #[default]
    Pipes,
    /// A pseudo-terminal. Output is kept in chunks as it comes, control sequences included; input is bytes.
    Pty,
}

/// One piece of output: a line without its end (pipes), or a chunk (pty).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleEntry {
    /// Its number: 1 for an instance's first, then one more each, through restarts of game and agent.
    pub seq: u64,
    /// When it was read, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The text, with U+FFFD for what is not UTF-8. A chunk never ends within a character.
    pub text: String,
}

/// Query of `GET /v1/console/read`: entries from `from` on; with `wait_ms`, waits that long for the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleQuery {
    /// First wanted; 0 and 1 are the oldest there is.
    pub from: u64,
    /// How long to wait, at most [`MAX_CONSOLE_WAIT_MS`].
    #[serde(default)]
    pub wait_ms: u64,
    /// Most entries in the answer.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// Answer of `GET /v1/console/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolePage {
    /// How output is kept.
    pub mode: ConsoleMode,
    /// The oldest number still kept. When it is above the query's `from`, what lies between is lost.
    pub first: u64,
    /// The number that the next output will get.
    pub next: u64,
    /// In order, without gaps, at most [`MAX_CONSOLE_PAGE_BYTES`] of text.
    pub entries: Vec<ConsoleEntry>,
}

/// Body of `POST /v1/console/input`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleInput {
    /// With pipes: one line, without its end. With a pty: what was typed.
    pub text: String,
}

/// Body of `POST /v1/console/resize`; a no-op with pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleSize {
    /// Columns, 1 to 1,000.
    pub columns: u16,
    /// Rows, 1 to 1,000.
    pub rows: u16,
}

/// Most names in [`Players`].
pub const MAX_PLAYER_NAMES: usize = 100;

/// Who plays, as the game tells whoever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Players {
    /// How many there are.
    pub online: u32,
    /// How many there may be.
    pub max: u32,
    /// The names of some of them, at most [`MAX_PLAYER_NAMES`]; a game need not tell any.
    #[serde(default, deserialize_with = "text::read_lines")]
    pub names: Vec<String>,
}

/// Answer of `GET /v1/stats`: what the service's processes use at this moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceStats {
    /// Processor time since its start, in milliseconds, over all cores; 0 while it is down.
    pub cpu_ms: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Size of the data folder, in bytes, as of the last count.
    pub disk_bytes: u64,
    /// The plan's bound on that, in bytes; `None` is unbounded.
    pub disk_limit_bytes: Option<u64>,
    /// Since the process started, in milliseconds; 0 while it is down.
    pub uptime_ms: u64,
    /// Who plays, as of some seconds ago; none while it is down, and of a game that does not tell.
    #[serde(default)]
    pub players: Option<Players>,
}
