//! Whole stacks as processes: what a customer does with a third-party client, and what faults of the machinery do.

mod backups;
mod clients;
mod console;
mod failures;
mod files;
mod log_story;
mod outages;
mod takeover;
