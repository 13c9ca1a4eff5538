//! The agent as its callers meet it: the real program, real processes, real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests start agents and kill them"
)]

mod archives;
mod auth;
mod backup;
mod boot;
mod console;
mod crashes;
mod downloads;
mod enter;
mod files;
mod games;
mod init;
mod install_steps;
mod parsers;
mod power;
mod source;
mod support;
mod survival;
mod tunnel;
