//! `/api/instances/{id}/files`: what is in a server's data folder.

pub mod change;
pub mod content;
pub mod job;
pub mod read;
pub mod uploads;
