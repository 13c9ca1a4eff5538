//! repair-worker: takes a repair by its id, looks again, acts, looks after it, and writes one event of it. It knows two actions.
//! Whatever else is asked for, and whatever may not be done now, is rejected, and the rejection is an event too.

pub mod config;
pub mod repair;
pub mod rows;
pub mod serve;

/// As events name us.
const BY: &str = "repair-worker";
