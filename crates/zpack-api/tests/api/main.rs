//! The API as a client meets it: real requests over a socket, on a real PostgreSQL and Redis, with a clock that the
//! tests control and agents and artifacts that only remember.

mod support;

mod accounts;
mod api_keys;
mod authorisation;
mod backups;
mod billing;
mod catalogue;
mod command_line;
mod console;
mod console_ends;
mod csrf;
mod description;
mod events;
mod faults;
mod files;
mod ide;
mod idempotency;
mod instances;
mod links;
mod notes;
mod operator;
mod portal;
mod power;
mod problems;
mod rate_limits;
mod schedules;
mod traefik;
