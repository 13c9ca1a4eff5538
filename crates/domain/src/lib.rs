//! Types, state machines and rules of ZLH. No I/O, no async, no clock of its own: time comes in as an argument.

pub mod account;
pub mod agent;
pub mod backup;
pub mod billing;
pub mod blueprint;
pub mod clock;
pub mod drift;
pub mod edge;
pub mod enforcement;
pub mod ids;
pub mod instance;
pub mod lease;
pub mod mail;
pub mod name;
pub mod objects;
pub mod operation;
pub mod plan;
pub mod schedule;
pub mod text;
pub mod token;
