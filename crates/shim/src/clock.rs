//! The one place that reads the wall clock.

use chrono::{DateTime, Utc};

/// Now, by this machine's clock.
#[allow(clippy::disallowed_methods, reason = "this is the clock that others are to use")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
