//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{bench, generate, testing, tidy, up, workspace::Workspace};

/// Everything that a person does with this repository
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up and start everything, with a demo server that can be joined; Ctrl-C stops all of it
    Up(up::Options),
    /// Stop everything that `up` started
    Down,
    /// Where everything is, and how to sign in
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Show logs
    Logs {
        /// Of one process, as `status` calls it; of all without it
        daemon: Option<String>,
        /// Go on as they grow
        #[arg(short, long)]
        follow: bool,
    },
    /// Run a daemon's command against what runs, as in `exec zlh-controller plan`
    Exec {
        /// The daemon's name
        daemon: String,
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the tests, with a PostgreSQL and a Redis of their own
    Test(testing::Options),
    /// Check what people forget: imports, file headers, lock files, licences, the catalogue
    Tidy,
    /// Measure
    Bench(bench::Options),
    /// Take pictures of every page of the Portal, light and dark, on a desktop and a phone
    Screenshots,
    /// Write the generated files: query data, docs/openapi.json, docs/configuration.md
    Generate {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Watch over what `up --detach` started
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        release: bool,
    },
}

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match cli.command {
        Command::Up(options) => up::up(&workspace, options),
        Command::Down => up::down(&workspace),
        Command::Status { json } => up::print_status(&workspace, json),
        Command::Logs { daemon, follow } => up::logs(&workspace, daemon.as_deref(), follow),
        Command::Exec { daemon, arguments } => up::exec(&workspace, &daemon, &arguments),
        Command::Test(options) => testing::run(&workspace, &options),
        Command::Tidy => tidy::run(&workspace),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Screenshots => testing::screenshots(&workspace),
        Command::Generate { check } => generate::run(&workspace, check),
        Command::Supervise { release } => up::supervise(&mut up::adopt(&workspace, release)?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
