//! Custody of a running game: its shim, its numbered output on disk, what starts it and what ends what it leaves behind.
//! `zlh-agent` is the program; its subcommands `shim`, `init` and `enter` are run from here.
//!
//! Architecture invariant: what runs beside every game has one thread, no runtime and no TLS. This crate depends on none
//! of tokio, axum and rustls, not even through others, and `cargo xtask tidy` fails when it does. Invariant: neither a
//! game nor a line of its output depends on the agent's life: both are the shim's ([`custody`]), and the agent reads the
//! output from disk by number ([`output_log`]) like anybody else.

pub mod atomic;
pub mod clock;
mod confine;
pub mod custody;
pub mod enter;
pub mod init;
pub mod leftovers;
pub mod output_log;
pub mod place;
pub mod program;
pub mod protocol;
mod signals;
