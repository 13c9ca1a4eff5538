//! Everything that is kept: Postgres rows (sqlx) and the Redis queues (apalis).
//!
//! Architecture invariant: this is the only crate that names sqlx or apalis. The row comes first; the queue carries
//! an id and says "look now", so losing the whole of Redis loses nothing.

pub mod accounts;
pub mod audit;
pub mod backups;
pub mod billing;
pub mod blueprints;
pub mod controller;
mod db;
mod error;
pub mod events;
pub mod holds;
pub mod ide;
pub mod idempotency;
pub mod instances;
pub mod nodes;
pub mod notes;
pub mod operations;
pub mod outbox;
mod page;
pub mod power;
pub mod queue;
pub mod repairs;
pub mod schedules;
mod schema;
#[cfg(feature = "testing")]
pub mod testing;

pub use db::Db;
pub use error::StoreError;
pub use page::Page;
pub use schema::migrate;
