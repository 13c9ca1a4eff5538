//! The store against a real PostgreSQL and Redis: what must hold whoever calls, and in whatever order.

#[path = "store/backups.rs"]
mod backups;
#[path = "store/billing.rs"]
mod billing;
#[path = "store/constraints.rs"]
mod constraints;
#[path = "store/controller.rs"]
mod controller;
#[path = "store/fixture.rs"]
mod fixture;
#[path = "store/ide.rs"]
mod ide;
#[path = "store/instances.rs"]
mod instances;
#[path = "store/leases.rs"]
mod leases;
#[path = "store/links.rs"]
mod links;
#[path = "store/notes.rs"]
mod notes;
#[path = "store/outbox.rs"]
mod outbox;
#[path = "store/plan_changes.rs"]
mod plan_changes;
#[path = "store/power.rs"]
mod power;
#[path = "store/queue.rs"]
mod queue;
#[path = "store/roles.rs"]
mod roles;
#[path = "store/schedules.rs"]
mod schedules;
#[path = "store/schema.rs"]
mod schema;
