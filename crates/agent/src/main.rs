//! `zlh-agent`: runs inside each container; installs one game server, supervises it and answers to the control plane.

use std::process::ExitCode;

use agent::config::RunArgs;
use clap::{Parser, Subcommand};
use shim::{
    custody::{self, ShimArgs},
    enter::{self, EnterArgs},
    init::{self, InitArgs},
};

/// The agent inside a ZLH container.
#[derive(Parser)]
#[command(name = "zlh-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the control plane and supervise the server in a folder.
    Run(RunArgs),
    /// Become another program: join cgroups, start a session, then exec.
    Enter(EnterArgs),
    /// Keep a program and its output while agents come and go. Started by `run`.
    Shim(ShimArgs),
    /// Keep `run` running, as a container's first process.
    Init(InitArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => agent::run(&args),
        Command::Enter(args) => enter::enter(&args),
        Command::Shim(args) => custody::run(&args),
        Command::Init(args) => init::init(&args),
    }
}
