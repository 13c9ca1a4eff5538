//! provision-worker: durable create, delete, backup and restore, step by step, undone cleanly when they fail.
//!
//! `saga` is what is done: the steps, each with its undo. `runner` is how: the journal, resuming after a crash, turning
//! round, giving up loudly. When is [`runtime::worker`]'s: slots, leases, the queue and its sweep. `backups` looks after
//! what is in storage between operations, `report` says what the engines have.

pub mod backups;
pub mod commands;
pub mod config;
pub mod report;
pub mod runner;
pub mod saga;
pub mod serve;

/// As the audit log names us.
const BY: store::audit::By<'_> = store::audit::By::itself("provision-worker");
