//! The API's verbs: a file for each, or for a few that belong together.

pub mod account;
pub mod backups;
pub mod billing;
pub mod catalogue;
pub mod console;
pub mod events;
pub mod files;
pub mod instances;
pub mod notes;
pub mod operations;
pub mod operator;
pub mod portal;
pub mod schedules;
pub mod traefik;
