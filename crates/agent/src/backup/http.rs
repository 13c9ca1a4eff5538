//! Talking to the storage: http or https, no redirects, bounded in time; messages never hold an address.

use std::{error::Error, time::Duration};

use reqwest::{Client, StatusCode, redirect::Policy};

use super::error::BackupError;

/// Longest time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of the storage.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pauses before the second try and those after it: the storage may be restarted meanwhile.
pub(super) const PAUSES: [Duration; 7] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
];

/// A client for one task; none is kept in idle agents.
pub(super) fn client() -> Result<Client, BackupError> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(IDLE_TIMEOUT)
        .redirect(Policy::none())
        .user_agent("zlh-agent")
        .build()
        .map_err(|error| BackupError::Storage(brief(&error)))
}

/// What a status means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Done,
    /// May pass by itself.
    Passing,
    /// The address is not good any more, or the upload is gone.
    Expired,
    Final,
}

pub(super) fn meaning(status: StatusCode) -> Meaning {
    match status {
        _ if status.is_success() => Meaning::Done,
        _ if status.is_server_error() => Meaning::Passing,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => {
            Meaning::Passing
        }
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Meaning::Expired,
        _ => Meaning::Final,
    }
}

/// In a few words and without the address, which is signed.
pub(super) fn brief(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let kind = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it could not be reached"
    } else {
        "the connection broke off"
    };
    // Without a source the innermost error is reqwest's own, which names the address.
    if error.source().is_some() { format!("{kind} ({innermost})") } else { kind.to_owned() }
}
