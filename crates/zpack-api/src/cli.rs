//! The commands besides serving.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use domain::{account::Role, agent::API_ISSUER};
use runtime::{
    clock::{Clock as _, SystemClock},
    daemon::Resources,
};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::SecretString;
use store::Db;

use crate::{
    accounts::{self, NewAccount},
    config::ApiConfig,
    password::Passwords,
    router,
};

/// Longest password file or standard input that is read, in bytes.
const MAX_PASSWORD_INPUT: u64 = 4_096;
/// How long a migration waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What zpack-api can do besides serving.
#[derive(Subcommand)]
pub enum Command {
    /// What needs no configuration
    #[command(flatten)]
    Bare(Bare),
    /// Print the public half of this daemon's `agent.key`, for provision-worker's `trust.api_public_key`
    PublicKey,
    /// Make an operator's account; prints its id
    CreateOperator(Account),
    /// Make a customer's account; prints its id
    CreateCustomer {
        /// Whose
        #[command(flatten)]
        account: Account,
        /// How many live servers it may have [default: api.default_instance_limit]
        #[arg(long)]
        instance_limit: Option<u32>,
        /// Without a grant: it can have servers once it has a subscription
        #[arg(long)]
        without_grant: bool,
    },
}

/// What needs no configuration.
#[derive(Subcommand)]
pub enum Bare {
    /// Bring the database's schema to this version, as its owner
    Migrate {
        /// File with the PostgreSQL URL of the schema's owner; daemons do not have that role
        #[arg(long, value_name = "FILE")]
        database_url_file: PathBuf,
    },
    /// Print the API's description (OpenAPI, JSON)
    Openapi,
    /// Print a new private key, for a daemon's `agent.key`. Keep it where only that daemon can read it
    GenerateKey,
}

/// An account to be made.
#[derive(Args)]
pub struct Account {
    /// Address to sign in with
    email: String,
    /// Name for people [default: the address's part before the @]
    #[arg(long)]
    display_name: Option<String>,
    /// File with the password; without it, it is read from standard input. Never an argument: those are public
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Parser)]
struct BareLine {
    #[command(subcommand)]
    command: Bare,
}

/// Runs a command that needs no configuration, if the command line is one. Anything else, mistakes and `--help`
/// included, is the daemon's command line.
pub fn run_without_config() -> Option<ExitCode> {
    let line = BareLine::try_parse().ok()?;
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run_bare(line.command)));
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zpack-api: {error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Runs a command.
pub async fn run(command: Command, resources: Resources, config: ApiConfig) -> anyhow::Result<()> {
    let default_limit = config.api.default_instance_limit;
    match command {
        Command::Bare(bare) => run_bare(bare).await,
        Command::PublicKey => print(&config.agent.signer(API_ISSUER)?.trusted_key(Vec::new()).public_key),
        Command::CreateOperator(account) => {
            create(account, Role::Operator, (default_limit, default_limit), &resources).await
        }
        Command::CreateCustomer { account, instance_limit, without_grant } => {
            let limit = instance_limit.unwrap_or(default_limit);
            let granted = if without_grant { 0 } else { limit };
            create(account, Role::Customer, (limit, granted), &resources).await
        }
    }
}

async fn run_bare(command: Bare) -> anyhow::Result<()> {
    match command {
        Bare::Migrate { database_url_file } => {
            let url = read_secret(&database_url_file)?;
            let owner = Db::connect_lazy(&url, "zpack-api migrate", 1, CONNECT_TIMEOUT).context("the URL")?;
            store::migrate(&owner).await.context("the schema could not be brought to this version")
        }
        Bare::GenerateKey => print(&domain::token::generate_key()?),
        Bare::Openapi => print(&router::description().to_pretty_json()?),
    }
}

async fn create(
    account: Account,
    role: Role,
    (instance_limit, granted): (u32, u32),
    resources: &Resources,
) -> anyhow::Result<()> {
    let password = match &account.password_file {
        Some(file) => read_secret(file)?,
        None => ask_password()?,
    };
    let new = NewAccount {
        email: account.email,
        display_name: account.display_name,
        password,
        role,
        instance_limit,
        granted,
        by: Some("operator:command line"),
        verify: false,
    };
    let db = resources.database()?;
    match accounts::create(&db, &Passwords::new(1, 1), new, SystemClock.now()).await {
        Ok(customer) => print(&customer.id.to_string()),
        Err(problem) => bail!("{problem}"),
    }
}

fn ask_password() -> anyhow::Result<SecretString> {
    if io::stdin().is_terminal() {
        return ask_terminal().context("the terminal");
    }
    let mut text = String::new();
    io::stdin().take(MAX_PASSWORD_INPUT).read_to_string(&mut text).context("standard input")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

/// Asks without showing what is typed.
fn ask_terminal() -> io::Result<SecretString> {
    let shown = tcgetattr(io::stdin())?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    eprint!("Password: ");
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    tcsetattr(io::stdin(), OptionalActions::Flush, &shown)?;
    eprintln!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned().into())
}

fn read_secret(file: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}").context("standard output")
}
