//! The agent as a library: `main.rs` only dispatches, and tests reach the parts.
//!
//! Architecture invariant: one task owns the service's state ([`service`]); everything else sends it commands or
//! events and reads snapshots. Invariant: a route cannot be added without a scope ([`api::table`]). Invariant: the
//! customer's files are reached through a directory handle only ([`files`], [`install::files`]). Invariant: no circle
//! between the modules here. The game itself is in the custody of another process, and of another crate ([`shim`]).

pub mod api;
pub mod backup;
pub mod config;
mod connections;
pub mod files;
pub mod install;
mod log;
pub mod probe;
pub mod process;
pub mod root;
pub mod server;
pub mod service;
pub mod tls;
pub mod trust;
pub mod tunnel;

use std::process::ExitCode;

use shim::program::{self, EXIT_CONFIG};
use tracing::error;

use crate::config::RunArgs;

/// Runs the service until SIGTERM or SIGINT; the exit code of `zlh-agent run`.
pub fn run(args: &RunArgs) -> ExitCode {
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(args.log_level).init();
    program::keep_from_the_game();
    match server::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(server::StartError::Trust(reason)) => {
            error!(reason = %reason, "the agent does not start, since there is nobody to trust: {reason}");
            eprintln!("zlh-agent: refusing to start: {reason}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(server::StartError::Other(reason)) => {
            error!(reason = %format!("{reason:#}"), "the agent ends: {reason:#}");
            eprintln!("zlh-agent: {reason:#}");
            ExitCode::FAILURE
        }
    }
}
