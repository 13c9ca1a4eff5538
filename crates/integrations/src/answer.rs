//! What services' answers have in common.

use std::time::Duration;

use reqwest::header;

/// What `Retry-After` says, in seconds; a date is not read (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What a service says of an error, fit for one line of a log.
pub(crate) fn on_one_line(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(300).collect()
}
