//! The game as a process: how it is started below its shim, found again, watched, asked to stop and killed.

pub mod console;
pub mod exit;
pub mod host;
pub mod launch;
pub mod link;
pub mod output;
pub mod runtime;
pub mod spawn;
pub mod usage;
