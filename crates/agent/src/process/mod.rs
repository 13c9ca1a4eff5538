//! The game as a process: how it is started, watched, asked to stop and killed.

pub mod console;
pub mod exit;
pub mod launch;
pub mod leftovers;
pub mod lines;
pub mod runtime;
pub mod spawn;
