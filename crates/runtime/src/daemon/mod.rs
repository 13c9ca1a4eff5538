//! The shape of every daemon's `main`: arguments, configuration, logging, health, and an orderly end.
//!
//! ```no_run
//! # use runtime::{config::*, daemon::{self, About, Context}};
//! # #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
//! # struct RepairConfig {}
//! # impl Config for RepairConfig {
//! #     fn sections(&self) -> Vec<&dyn Section> { vec![] }
//! # }
//! fn main() -> std::process::ExitCode {
//!     let about = About { name: "zpack-repair", summary: "Repairs", version: env!("CARGO_PKG_VERSION") };
//!     daemon::run(about, serve)
//! }
//!
//! async fn serve(context: Context, config: RepairConfig) -> anyhow::Result<()> {
//!     let db = context.database()?;
//!     // start workers, periodic tasks …
//!     context.ready();
//!     context.shutdown().cancelled().await;
//!     Ok(())
//! }
//! ```

mod args;
mod context;
mod resources;
mod service;

pub use args::NoCommands;
pub use context::Context;
pub use resources::Resources;

use std::{ffi::OsString, fmt, process::ExitCode, sync::Arc};

use clap::Subcommand;
use tokio::runtime::{Builder, Runtime};

use crate::{
    config::{self, Config, ConfigError, DaemonConfig, ProcessSection, Sources},
    logging,
};
use args::{Args, Command};

/// What a daemon is called and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The binary's name; also its table in the configuration file and its name in the log.
    pub name: &'static str,
    /// One line for `--help`.
    pub summary: &'static str,
    /// `env!("CARGO_PKG_VERSION")` of the daemon.
    pub version: &'static str,
}

/// `EX_CONFIG` of sysexits(3): restarting does not help until somebody changes the configuration.
const UNUSABLE_CONFIGURATION: u8 = 78;

/// Runs a daemon that has no commands of its own.
///
/// `serve` sets up, calls [`Context::ready`], and returns after the shutdown was asked for and its own work has ended.
pub fn run<C, Serve, Serving>(about: About, serve: Serve) -> ExitCode
where
    C: Config,
    Serve: FnOnce(Context, C) -> Serving,
    Serving: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    run_with_commands(about, serve, async |command: NoCommands, _resources, _config: C| match command {})
}

/// Runs a daemon, or one of the commands `S` that it has besides serving, such as `create-operator`.
pub fn run_with_commands<C, S, Serve, Serving, Run>(about: About, serve: Serve, command: Run) -> ExitCode
where
    C: Config,
    S: Subcommand,
    Serve: FnOnce(Context, C) -> Serving,
    Serving: Future<Output = anyhow::Result<()>> + Send + 'static,
    Run: AsyncFnOnce(S, Resources, C) -> anyhow::Result<()>,
{
    run_with_arguments(about, std::env::args_os(), serve, command)
}

/// As [`run_with_commands`], with arguments that are not the process's: a test's own are its harness's.
#[doc(hidden)]
pub fn run_with_arguments<C, S, Serve, Serving, Run>(
    about: About,
    arguments: impl IntoIterator<Item = OsString>,
    serve: Serve,
    command: Run,
) -> ExitCode
where
    C: Config,
    S: Subcommand,
    Serve: FnOnce(Context, C) -> Serving,
    Serving: Future<Output = anyhow::Result<()>> + Send + 'static,
    Run: AsyncFnOnce(S, Resources, C) -> anyhow::Result<()>,
{
    let args = Args::<S>::parse_for(about, arguments);
    let sources = Sources::of_process(about.name, args.config.as_deref());
    match args.command {
        Some(Command::CheckConfig) => check_config::<C>(about.name, &sources),
        Some(Command::ConfigReference { json }) => print_reference::<C>(about.name, json),
        Some(Command::Own(own)) => with_config(about, &sources, |runtime, resources, config: C| {
            runtime.block_on(command(own, resources, config)).map(|()| ExitCode::SUCCESS)
        }),
        None => with_config(about, &sources, |runtime, resources, config: C| {
            let outcome = runtime.block_on(service::serve(resources, about.version, config, serve));
            // What the drain's deadline cut off is not waited for again.
            runtime.shutdown_background();
            outcome
        }),
    }
}

/// Loads the configuration, sets up logging and threads, and turns the outcome into an exit code.
fn with_config<C: Config>(
    about: About,
    sources: &Sources,
    run: impl FnOnce(Runtime, Resources, C) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    let DaemonConfig { own, common } = match config::load(sources) {
        Ok(config) => config,
        Err(error) => return refuse(about.name, &error),
    };
    if let Err(error) = logging::init(about.name, &common.logging) {
        return fail(about.name, &error);
    }
    let runtime = match build_runtime(&common.process) {
        Ok(runtime) => runtime,
        Err(error) => return fail(about.name, &error),
    };
    let resources = Resources { daemon: about.name, common: Arc::new(common) };
    match run(runtime, resources, own) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build_runtime(section: &ProcessSection) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(section.worker_threads)
        .max_blocking_threads(section.max_blocking_threads)
        .enable_all()
        .build()
}

fn check_config<C: Config>(name: &str, sources: &Sources) -> ExitCode {
    match config::load_with_sources::<C>(sources) {
        Ok(loaded) => print(&loaded),
        Err(error) => refuse(name, &error),
    }
}

fn print_reference<C: Config>(name: &str, json: bool) -> ExitCode {
    let sections = config::reference::<C>();
    if json {
        print(&serde_json::json!({ "daemon": name, "sections": sections }))
    } else {
        print(&config::markdown(name, &sections))
    }
}

/// Writes to standard output; a reader that went away is not an error worth a panic.
fn print(what: &dyn fmt::Display) -> ExitCode {
    use std::io::Write as _;
    match writeln!(std::io::stdout().lock(), "{}", what.to_string().trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(name: &str, error: &ConfigError) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::from(UNUSABLE_CONFIGURATION)
}

/// For failures before there is a log.
fn fail(name: &str, error: &dyn fmt::Display) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}
