//! zpack-api: the HTTP API of ZLH.
//!
//! A request passes [`http`] (id, headers, bounds, CSRF), then `extract` and [`auth`] turn it into arguments, a handler
//! says what happens, and `view` says what is shown of it. Whatever goes wrong becomes a `problem`.
//!
//! Architecture invariants: no SQL and no HTTP client in this crate; who may call a handler stands in its signature;
//! the row is committed before anybody is told.

mod accounts;
mod agent;
pub mod app;
pub mod auth;
mod billing;
mod catalogue;
pub mod cli;
pub mod config;
pub mod console;
pub mod events;
mod extract;
mod files;
mod handlers;
mod http;
pub mod ide;
mod openapi;
mod password;
mod plan_changes;
mod power;
mod problem;
mod rate_limit;
mod request_id;
pub mod router;
mod rules;
pub mod schedules;
pub mod serve;
mod share;
mod tasks;
mod view;
pub mod watch;
