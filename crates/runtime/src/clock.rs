//! The operating system's clock: the only place that asks it for the time of day, so that tests can hold it still.

use chrono::{DateTime, Utc};

pub use domain::clock::{Clock, ManualClock};

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is sent to")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
