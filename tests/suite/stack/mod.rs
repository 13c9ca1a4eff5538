//! Whole stacks as processes: what a customer does with a third-party client, and what faults of the machinery do.

mod backups;
mod billing;
mod clients;
mod console;
mod drift;
mod failures;
mod fairness;
mod files;
mod log_story;
mod loopback;
mod names;
mod outages;
mod portal;
mod portal_billing;
mod takeover;
