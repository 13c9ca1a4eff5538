//! What agent and shim say to each other: the order in the lock file, the record of a run, and messages, one JSON
//! object a line. An agent may meet a shim of the version before it, so a change here adds fields and no more.

use std::{collections::BTreeMap, path::PathBuf};

use domain::agent::ConsoleMode;
use serde::{Deserialize, Serialize};

/// What the shim runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// What for.
    pub purpose: Purpose,
    /// Program and arguments, resolved.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working folder.
    pub data: PathBuf,
    /// Marks what is started, so that it is found wherever it hides.
    pub instance: String,
    /// How output and input are connected.
    pub mode: ConsoleMode,
    /// Columns and rows of a terminal.
    pub size: (u16, u16),
    /// The least number that its output may have: those before it have been told.
    #[serde(default)]
    pub next: u64,
}

/// What a program is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It is the game.
    Game,
    /// It is a step of an installation.
    Install,
}

/// A run: known while it lasts, and its end until an agent has taken note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What for.
    pub purpose: Purpose,
    /// How output and input are connected.
    pub mode: ConsoleMode,
    /// The program's process, which is also its group and its session.
    pub pid: i32,
    /// The shim's process.
    #[serde(default)]
    pub shim: i32,
    /// In milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// The number of its first output.
    pub first: u64,
    /// Whether it was asked to stop.
    pub asked: bool,
    /// How it ended.
    pub end: Option<End>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// As `waitpid` gives it.
    pub status: i32,
    /// How long it ran, in milliseconds.
    pub after_ms: u64,
    /// The number after its last output.
    pub next: u64,
}

/// From the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Asks to stop, by a line or, when that cannot be told, by SIGTERM.
    Stop {
        /// The line, without its end.
        line: Option<String>,
    },
    /// Sends a signal to the program and its group.
    Signal(i32),
    /// For its input; answered by [`Tell::Taken`], in order.
    Input(String),
    /// The size of its terminal, columns and rows.
    Resize(u16, u16),
}

/// To the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    /// The first message.
    Hello {
        /// What runs.
        run: Run,
        /// The number that the next output will get.
        next: u64,
    },
    /// There is output before this number.
    Next(u64),
    /// Whether there was room for an input.
    Taken(bool),
}
