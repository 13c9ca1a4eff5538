//! Waiting: always for something, always with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `check` gives something, fails, or `limit` has passed.
pub fn until<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = check()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what}: nothing within {} s", limit.as_secs());
        }
        thread::sleep(INTERVAL);
    }
}
