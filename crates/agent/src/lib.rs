//! The agent as a library: `main.rs` only dispatches, and tests reach the parts.
//!
//! Architecture invariant: one task owns the service's state ([`service`]); everything else sends it commands or
//! events and reads snapshots. Invariant: a route cannot be added without a scope ([`api::table`]). Invariant: the
//! customer's files are reached through a directory handle only ([`files`], [`install::files`]). Invariant: neither a
//! game nor a line of its output depends on the agent's life: both are its shim's ([`shim`]), and the agent reads the
//! output from disk by number ([`output_log`]) like anybody else.

pub mod api;
pub mod backup;
pub mod clock;
pub mod config;
pub mod enter;
pub mod files;
pub mod init;
pub mod install;
mod log;
pub mod output_log;
pub mod probe;
pub mod process;
pub mod root;
pub mod server;
pub mod service;
pub mod shim;
mod signals;
pub mod tls;
pub mod trust;
pub mod tunnel;

use std::process::ExitCode;

use tracing::error;

use crate::config::RunArgs;

/// What our processes are called where they start each other by `/proc/self/exe`.
const PROGRAM: &str = "zlh-agent";

/// `EX_CONFIG` of sysexits.h: what was given is unusable, and starting again does not help.
pub const EXIT_CONFIG: u8 = 78;

/// Runs the service until SIGTERM or SIGINT; the exit code of `zlh-agent run`.
pub fn run(args: &RunArgs) -> ExitCode {
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(args.log_level).init();
    keep_from_the_game();
    match server::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(server::StartError::Trust(reason)) => {
            error!(reason = %reason, "the agent does not start without a trust bundle");
            eprintln!("zlh-agent: refusing to start: {reason}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(server::StartError::Other(reason)) => {
            error!(reason = %format!("{reason:#}"), "the agent stops");
            eprintln!("zlh-agent: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

/// Closes `/proc/PID` of this process to others of the same user: a game runs as that user, and could otherwise read
/// the agent's memory, or write its log through `fd/1`.
pub(crate) fn keep_from_the_game() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(errno) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%errno, "the game could look into the agent");
    }
}
