//! Leaving a service alone for as long as it wants to be.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::clock::Clock;

use super::EdgeError;

/// How long nobody is asked after a 429 that does not say.
const QUIET: Duration = Duration::from_mins(1);
/// Longest that a 429 is believed.
const LONGEST_QUIET: Duration = Duration::from_mins(15);

/// Until when a part of the edge is asked nothing.
#[derive(Debug)]
pub(super) struct Quiet {
    part: &'static str,
    clock: Arc<dyn Clock>,
    until: Mutex<Option<DateTime<Utc>>>,
}

impl Quiet {
    /// It may be asked.
    pub(super) fn new(part: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { part, clock, until: Mutex::default() }
    }

    /// Fails while nobody is to be asked.
    pub(super) fn check(&self) -> Result<(), EdgeError> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.map_or(0, |until| (until - self.clock.now()).num_milliseconds());
        if left <= 0 {
            *until = None;
            return Ok(());
        }
        let seconds = u64::try_from(left).unwrap_or_default().div_ceil(1_000);
        Err(EdgeError::Limited { part: self.part, seconds })
    }

    /// Asks nothing for as long as a 429 says; gives the error that it is.
    pub(super) fn keep(&self, retry_after: Option<Duration>) -> EdgeError {
        let (part, pause) = (self.part, retry_after.unwrap_or(QUIET).min(LONGEST_QUIET));
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.now() + pause);
        let seconds = pause.as_secs();
        tracing::warn!(
            "{part} takes no more calls; nothing is asked of it for {seconds} s, and nothing is changed there meanwhile"
        );
        EdgeError::Limited { part, seconds }
    }
}
