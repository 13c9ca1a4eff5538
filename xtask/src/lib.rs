//! What `cargo xtask` is made of. A library as well, so that the test suites use the same private PostgreSQL, Redis
//! and daemons.

#![allow(clippy::disallowed_methods, reason = "starting processes and making passwords is what xtask is for")]

pub mod artifacts;
pub mod bench;
pub mod build;
pub mod cli;
pub mod demo;
pub mod generate;
pub mod http;
pub mod interrupt;
pub mod minecraft;
pub mod portal;
pub mod ports;
pub mod postgres;
pub mod prereq;
pub mod process;
pub mod redis;
pub mod scratch;
pub mod secrets;
pub mod sockets;
pub mod stack;
pub mod testing;
pub mod tidy;
pub mod ui;
pub mod up;
pub mod wait;
pub mod workspace;
