//! Whole stacks as processes: what a customer does with a third-party client, and what faults of the machinery do.

mod clients;
mod failures;
mod outages;
mod takeover;
