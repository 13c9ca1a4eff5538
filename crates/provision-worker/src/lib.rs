//! provision-worker: durable create, delete, backup and restore, step by step, undone cleanly when they fail.
//!
//! `saga` is what is done: the steps, each with its undo. `runner` is how: the claim, the journal, resuming after a
//! crash, turning round, giving up loudly. `listen` is when: the queue's rings and the sweep. `backups` looks
//! after what is in storage between operations.

pub mod backups;
pub mod config;
pub mod listen;
pub mod objects;
pub mod runner;
pub mod saga;

/// As the audit log names us.
const BY: store::audit::By<'_> = store::audit::By::itself("provision-worker");
