//! The suites that need more than one crate: faults at every step of every saga, and whole stacks with real clients.

mod backup_storage;
mod backups;
mod drift;
mod edge;
mod edge_parts;
mod ide;
mod mail;
mod noop;
mod plans;
mod sagas;
mod stack;
