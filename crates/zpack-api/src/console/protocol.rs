//! What is said over a console's socket: JSON texts, each with a `type`. `docs/console.md` tells clients of it.

use axum::extract::ws::Utf8Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::agent::{ConsoleEntry, ConsoleMode, ServiceStats};
use serde::{Deserialize, Serialize};

use crate::view::{PlayersView, StatusView};

/// Why a socket is closed. Below 4400 (but 1009) a client connects again and goes on where it was; from 4400 on it
/// does not, for the same would happen again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Close {
    /// Larger than any message that makes sense.
    TooBig = 1009,
    /// An error of ours.
    Internal = 1011,
    /// This process ends; its successor is there in a moment.
    Restart = 1012,
    /// The server's machine is away, or this client takes nothing.
    TryLater = 1013,
    /// Not the protocol.
    Protocol = 4400,
    /// The session has ended, or the key was revoked.
    SessionEnded = 4401,
    /// The server is deleted, or being deleted.
    Deleted = 4404,
    /// No `resume` in time.
    NoResume = 4408,
    /// The server is on hold.
    OnHold = 4423,
    /// Too many sockets.
    TooMany = 4429,
}

impl Close {
    /// Its number, as RFC 6455 has it.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The `code` and `detail` of the `error` before it.
    pub fn explained(self) -> (&'static str, &'static str) {
        match self {
            Self::TooBig => {
                ("message_too_big", "The message was larger than 32 KiB. Nothing of it was used.")
            }
            Self::Internal => {
                ("internal", "Something went wrong on our side. Nothing was lost; connect again.")
            }
            Self::Restart => {
                ("restart", "The control plane restarts. Your server is not affected; connect again.")
            }
            Self::TryLater => {
                ("try_later", "The server's machine does not answer. Nothing is lost; try again in a moment.")
            }
            Self::Protocol => ("protocol_error", "That is not a message of this protocol."),
            Self::SessionEnded => (
                "session_ended",
                "Your session or API key has ended. Sign in again; your server is not affected.",
            ),
            Self::Deleted => {
                ("instance_not_active", "The server is not active: it is being made, or being deleted.")
            }
            Self::NoResume => ("no_resume", "The first message must be resume, within 10 seconds."),
            Self::OnHold => {
                ("instance_on_hold", "The server is on hold, so its console is closed. Its files are kept.")
            }
            Self::TooMany => (
                "too_many_sockets",
                "There are too many consoles open. Close another tab or client, then connect again.",
            ),
        }
    }
}

/// What a client says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromClient {
    /// Comes first. Output from this number on; without one, the last 200 entries and what follows.
    Resume {
        /// First wanted.
        #[serde(default)]
        from: Option<u64>,
    },
    /// Types something in; answered by `input_result`.
    Input {
        /// Comes back in the answer.
        #[serde(default)]
        id: Option<u64>,
        /// With pipes a line, with a terminal what was typed.
        text: String,
    },
    /// Tells a terminal its size.
    Resize {
        /// 1 to 1,000.
        columns: u16,
        /// 1 to 1,000.
        rows: u16,
    },
    /// Answered by `pong`.
    Ping {},
}

/// What the server says, but `output`, which is made once for all sockets.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToClient<'a> {
    /// First of all.
    Hello {
        /// As in `state`.
        state: Option<&'a StatusView>,
        /// How the server's output is connected.
        mode: ConsoleMode,
        /// The oldest number still kept.
        first: u64,
        /// The number that the next output will get.
        next: u64,
    },
    /// Output.
    Output {
        /// In order, without gaps.
        entries: Vec<Entry<'a>>,
    },
    /// Numbers that nobody will ever see: the console's memory was overrun, or was lost.
    Gap {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// What the process does, whenever it changes.
    State {
        /// As `GET /api/instances/{id}/status` has it.
        state: &'a StatusView,
    },
    /// What it uses, every two seconds.
    Stats {
        /// The numbers.
        #[serde(flatten)]
        stats: &'a Stats,
    },
    /// An `input` was taken.
    InputResult {
        /// The input's.
        id: Option<u64>,
        /// Whether the server's process has it.
        ok: bool,
        /// Why not, for programs.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        /// Why not, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
    /// Something is wrong; when `fatal`, the socket is closed next.
    Error {
        /// For programs.
        code: &'a str,
        /// For people.
        detail: &'a str,
        /// Whether this was the last word.
        fatal: bool,
    },
    /// To `ping`.
    Pong,
}

impl ToClient<'_> {
    /// As it is sent.
    pub fn text(&self) -> Utf8Bytes {
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

/// A piece of output: a line without its end, or what a terminal printed.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// Its number; one more each, through restarts of whatever there is.
    pub seq: u64,
    /// When it was printed.
    pub at: String,
    /// The text.
    pub text: &'a str,
}

impl<'a> From<&'a ConsoleEntry> for Entry<'a> {
    fn from(it: &'a ConsoleEntry) -> Self {
        let at = DateTime::<Utc>::from_timestamp_millis(it.at_ms).unwrap_or_default();
        Self { seq: it.seq, at: at.to_rfc3339_opts(SecondsFormat::Millis, true), text: &it.text }
    }
}

/// What a server uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Of one core; 200 is two cores. `null` in the first message, for it is a difference.
    pub cpu_percent: Option<f64>,
    /// Resident.
    pub memory_bytes: u64,
    /// Of the data folder.
    pub disk_bytes: u64,
    /// The plan's bound on it.
    pub disk_limit_bytes: Option<u64>,
    /// Since the process started.
    pub uptime_ms: u64,
    /// Who plays; `null` while it is down, and of a game that does not tell.
    pub players: Option<PlayersView>,
}

impl Stats {
    /// From two looks and the time between them.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of processor time are far below 2^53")]
    pub fn between(before: Option<(&ServiceStats, std::time::Duration)>, now: &ServiceStats) -> Self {
        let cpu_percent = before.and_then(|(before, passed)| {
            let (used, passed) = (now.cpu_ms.checked_sub(before.cpu_ms)?, passed.as_millis());
            let percent = used as f64 * 100.0 / u64::try_from(passed).ok().filter(|ms| *ms > 0)? as f64;
            Some((percent * 10.0).round() / 10.0)
        });
        Self {
            cpu_percent,
            memory_bytes: now.memory_bytes,
            disk_bytes: now.disk_bytes,
            disk_limit_bytes: now.disk_limit_bytes,
            uptime_ms: now.uptime_ms,
            players: now.players.clone().map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn understood(value: serde_json::Value) -> Option<FromClient> {
        serde_json::from_value(value).ok()
    }

    #[test]
    fn a_message_is_understood_in_full_or_not_at_all() {
        let resume = |from| Some(FromClient::Resume { from });
        assert_eq!(understood(json!({ "type": "resume" })), resume(None));
        assert_eq!(understood(json!({ "type": "resume", "from": 7 })), resume(Some(7)));
        assert_eq!(understood(json!({ "type": "ping" })), Some(FromClient::Ping {}));
        for bad in [
            json!({ "type": "resume", "from": -1 }),
            json!({ "type": "resume", "since": 1 }),
            json!({ "type": "input" }),
            json!({ "type": "resize", "columns": 70_000, "rows": 1 }),
            json!({ "type": "shout", "text": "x" }),
            json!([]),
        ] {
            assert_eq!(understood(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn processor_use_is_a_difference_and_a_restart_is_no_negative_one() {
        let at = |cpu_ms| ServiceStats { cpu_ms, ..ServiceStats::default() };
        let passed = std::time::Duration::from_secs(2);
        assert_eq!(Stats::between(None, &at(5)).cpu_percent, None);
        assert_eq!(Stats::between(Some((&at(1_000), passed)), &at(2_001)).cpu_percent, Some(50.1));
        assert_eq!(Stats::between(Some((&at(1_000), passed)), &at(10)).cpu_percent, None);
    }
}
