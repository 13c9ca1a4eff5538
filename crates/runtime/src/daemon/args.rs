//! The command line that every daemon has.

use std::{ffi::OsString, path::PathBuf};

use clap::{CommandFactory as _, FromArgMatches, Parser, Subcommand};

use super::About;

#[derive(Parser)]
pub(super) struct Args<S: Subcommand> {
    /// Configuration file [default: /etc/zlh/zlh.toml, which may be missing]
    #[arg(long, global = true, value_name = "FILE", env = "ZLH_CONFIG")]
    pub(super) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Option<Command<S>>,
}

#[derive(Subcommand)]
pub(super) enum Command<S: Subcommand> {
    /// Print the configuration in force, with secrets hidden and each value's source, or what is wrong with it
    CheckConfig,
    /// Print what can be configured, as Markdown
    ConfigReference {
        /// As JSON instead
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Own(S),
}

impl<S: Subcommand> Args<S> {
    /// Parses the arguments, the program's name first; prints help or a usage error and exits where that is due.
    pub(super) fn parse_for(about: About, arguments: impl IntoIterator<Item = OsString>) -> Self {
        let matches = Self::command()
            .name(about.name)
            .about(about.summary)
            .version(about.version)
            .after_help("Without a command, the daemon runs.")
            .get_matches_from(arguments);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// For a daemon that has no commands of its own.
pub enum NoCommands {}

impl FromArgMatches for NoCommands {
    fn from_arg_matches(_: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand))
    }

    fn update_from_arg_matches(&mut self, _: &clap::ArgMatches) -> Result<(), clap::Error> {
        match *self {}
    }
}

impl Subcommand for NoCommands {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        command
    }

    fn has_subcommand(_: &str) -> bool {
        false
    }
}
