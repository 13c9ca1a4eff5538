//! `cargo xtask up`, `down`, `status` and `logs`: the private stack of this repository.

mod supervise;

pub use supervise::supervise;

use std::{
    fs::File,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::{
    fs::{FlockOperation, flock},
    process::Signal,
};
use serde_json::{Value, json};

use crate::{
    artifacts, build,
    demo::{self, Accounts, Demo, Session},
    interrupt, portal,
    postgres::Durability,
    prereq,
    process::{self, Record},
    secrets,
    stack::{Daemon, Places, Stack},
    ui, wait,
    workspace::Workspace,
};

/// Who watches over a running stack, as its record is called.
const SUPERVISOR: &str = "supervisor";
/// As long as everything below it may take to stop.
const DOWN_WITHIN: Duration = Duration::from_mins(3);

/// How to come up.
#[derive(Clone, Copy, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Options {
    /// Return once everything runs, and leave it running
    #[arg(long)]
    pub detach: bool,
    /// Without the demo server
    #[arg(long)]
    pub no_demo: bool,
    /// Make what development workspaces are installed from, too: JupyterLab, a minute or two the first time
    #[arg(long)]
    pub workspaces: bool,
    /// Build with optimisations
    #[arg(long)]
    pub release: bool,
}

/// Brings everything up, and stops it on Ctrl-C.
pub fn up(workspace: &Workspace, options: Options) -> Result<ExitCode> {
    interrupt::listen()?;
    if let Some(running) = supervisor(workspace) {
        ui::say(&format!("Already running (pid {}); `cargo xtask down` stops it.", running.pid));
        if options.workspaces {
            // What is running serves them as soon as they are there.
            prerequisites(options)?;
            let step = ui::step("Artifacts");
            step.done(&make_artifacts(workspace, options)?.join(", "));
        }
        print_summary(&status(workspace)?);
        return Ok(ExitCode::SUCCESS);
    }
    let alone = alone(workspace)?;
    if supervisor(workspace).is_some() {
        // Another one came first.
        drop(alone);
        return up(workspace, options);
    }
    prepare(workspace, options)?;
    let mut stack = Stack::open(places(workspace, options.release), Durability::Full)?;
    let own = Record::of(SUPERVISOR, std::process::id(), None)?;
    own.write(&stack.home().join("run"))?;
    if let Err(error) = start(&mut stack, options) {
        let stopped = stack.stop_all();
        own.forget(&stack.home().join("run"));
        stopped?;
        return if interrupt::requested() { Ok(ExitCode::from(130)) } else { Err(error) };
    }
    drop(alone);
    print_summary(&status(workspace)?);
    if options.detach {
        return detach(&stack, options);
    }
    ui::say("\nCtrl-C stops all of it.");
    supervise(&mut stack)
}

/// Programs of others, our programs, and the artifacts: the last two at the same time.
fn prepare(workspace: &Workspace, options: Options) -> Result<()> {
    prerequisites(options)?;
    // In a thread that outlives this: a build that fails waits for nothing.
    let theirs = workspace.clone();
    let artifacts = thread::spawn(move || make_artifacts(&theirs, options));
    portal::build(workspace)?;
    build::programs(workspace, options.release)?;
    let step = ui::step("Artifacts");
    let made = artifacts.join().map_err(|_| anyhow!("making the artifacts panicked"))??;
    step.done(&made.join(", "));
    Ok(())
}

/// The right to set up what is in this folder, until it is dropped.
fn alone(workspace: &Workspace) -> Result<File> {
    secrets::private_folder(&workspace.home())?;
    let file = File::options().create(true).append(true).open(workspace.home().join("lock"))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        ui::say("Another `cargo xtask up` is at work here; waiting for it.");
        flock(&file, FlockOperation::LockExclusive)?;
    }
    Ok(file)
}

fn prerequisites(options: Options) -> Result<()> {
    prereq::ensure(prereq::STACK)?;
    prereq::ensure_node()?;
    if options.workspaces {
        prereq::ensure(prereq::PYTHON)?;
    }
    Ok(())
}

fn make_artifacts(workspace: &Workspace, options: Options) -> Result<Vec<String>> {
    let tree = workspace.home().join("artifacts");
    if options.no_demo && !options.workspaces {
        std::fs::create_dir_all(&tree)?;
        return artifacts::write_catalog(&tree).map(|()| Vec::new());
    }
    let wanted = if options.workspaces { artifacts::Wanted::All } else { artifacts::Wanted::Games };
    artifacts::prepare(&workspace.catalogue(), &tree, wanted)
}

fn start(stack: &mut Stack, options: Options) -> Result<()> {
    let step = ui::step("PostgreSQL");
    stack.start_postgres()?;
    step.done("on a socket");
    let step = ui::step("Redis");
    stack.start_redis()?;
    step.done("on a socket");
    let step = ui::step("Schema and configuration");
    stack.configure()?;
    step.done("");
    for daemon in Daemon::ALL {
        interrupt::check()?;
        let step = ui::step(daemon.name());
        stack.start(*daemon)?;
        step.done("");
    }
    let step = ui::step("Accounts");
    let accounts = Accounts::ensure(stack)?;
    step.done("");
    if !options.no_demo {
        Demo::ensure(stack, &Session::open(stack, &accounts.customer)?)?;
        demo::subscribe(&Session::open(stack, &accounts.subscriber)?)?;
    }
    Ok(())
}

/// Hands the stack to a process of its own that watches over it.
fn detach(stack: &Stack, options: Options) -> Result<ExitCode> {
    let mut command = process::detached(std::env::current_exe()?);
    command.arg("supervise");
    if options.release {
        command.arg("--release");
    }
    let child = process::spawn(command, &stack.log(SUPERVISOR))?;
    Record::of(SUPERVISOR, child.id(), None)?.write(&stack.home().join("run"))?;
    ui::say("\nIt goes on running; `cargo xtask down` stops it.");
    Ok(ExitCode::SUCCESS)
}

/// What `supervise` in a process of its own begins with.
pub fn adopt(workspace: &Workspace, release: bool) -> Result<Stack> {
    interrupt::listen()?;
    Stack::open(places(workspace, release), Durability::Full)
}

/// Stops everything that `up` started.
pub fn down(workspace: &Workspace) -> Result<ExitCode> {
    ensure!(is_set_up(workspace), "nothing is set up here");
    if let Some(running) = supervisor(workspace) {
        let step = ui::step("Stopping");
        running.signal(Signal::TERM);
        wait::until("the stack", DOWN_WITHIN, || Ok((!running.is_alive()).then_some(())))?;
        step.done("");
    }
    // What a supervisor that was killed has left.
    Stack::open(places(workspace, false), Durability::Full)?.stop_all()?;
    Ok(ExitCode::SUCCESS)
}

/// Where and how everything is, in the shape that scripts rely on.
pub fn status(workspace: &Workspace) -> Result<Value> {
    ensure!(is_set_up(workspace), "nothing is set up here: run `cargo xtask up`");
    let stack = Stack::open(places(workspace, false), Durability::Full)?;
    let accounts = Accounts::read(stack.home());
    let found = accounts.as_ref().and_then(|accounts| {
        let session = Session::open(&stack, &accounts.customer).ok()?;
        Demo::find(&stack, &session).ok()?
    });
    let demo =
        found.unwrap_or(Demo { instance: None, name: None, address: None, state: "unknown".to_owned() });
    let processes: Vec<_> = (stack.records().iter())
        .map(|record| json!({ "name": record.name, "pid": record.pid, "port": record.port }))
        .collect();
    Ok(json!({
        "portal": stack.api_url(),
        "customer": accounts.as_ref().map(|accounts| &accounts.customer),
        "subscriber": accounts.as_ref().map(|accounts| &accounts.subscriber),
        "operator": accounts.as_ref().map(|accounts| &accounts.operator),
        "demo": demo,
        "sandbox": stack.sandbox(),
        "processes": processes,
    }))
}

/// `status` for a person.
pub fn print_summary(status: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let login = |who: &Value| format!("{} / {}", text(&who["email"]), text(&who["password"]));
    let demo = &status["demo"];
    println!();
    println!("  Web address   {}", text(&status["portal"]));
    println!("  Customer      {}", login(&status["customer"]));
    println!("  Subscriber    {}", login(&status["subscriber"]));
    println!("  Operator      {}", login(&status["operator"]));
    // Without an id there is none, or nobody could be asked.
    let state =
        if demo["instance"].is_null() { String::new() } else { format!(" ({})", text(&demo["state"])) };
    println!("  Demo server   {}{state}", text(&demo["address"]));
    println!("  Its name      {} (asking {})", text(&demo["name"]), text(&status["sandbox"]["dns"]));
    println!("  Sandbox       {}", text(&status["sandbox"]["page"]));
    println!("  Mailbox       {}", text(&status["sandbox"]["smtp"]["mailbox"]));
}

/// `status`, printed.
pub fn print_status(workspace: &Workspace, as_json: bool) -> Result<ExitCode> {
    let status = status(workspace)?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(ExitCode::SUCCESS);
    }
    print_summary(&status);
    let empty = Vec::new();
    let processes = status["processes"].as_array().unwrap_or(&empty);
    println!("  Processes     {}", if processes.is_empty() { "none: it is down" } else { "" });
    for process in processes {
        let name = process["name"].as_str().unwrap_or_default();
        println!("    {name:<24} pid {:<8} port {}", process["pid"].to_string(), process["port"]);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command of a daemon with the stack's configuration and secrets.
pub fn exec(workspace: &Workspace, daemon: &str, arguments: &[String]) -> Result<ExitCode> {
    ensure!(is_set_up(workspace), "nothing is set up here: run `cargo xtask up`");
    let names = || Daemon::ALL.iter().map(|daemon| daemon.name()).collect::<Vec<_>>().join(", ");
    let known = Daemon::ALL.iter().find(|known| known.name() == daemon);
    let known = known.with_context(|| format!("there is no daemon {daemon}; there are {}", names()))?;
    ensure!(
        !arguments.is_empty(),
        "name a command, such as --help: without one the daemon would run a second time"
    );
    let status = Stack::open(places(workspace, false), Durability::Full)?.at_terminal(*known, arguments)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Shows the logs of one process, or of all.
pub fn logs(workspace: &Workspace, name: Option<&str>, follow: bool) -> Result<ExitCode> {
    let folder = workspace.home().join("logs");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .context("there are no logs: run `cargo xtask up`")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log").map(str::to_owned))
        .filter(|found| name.is_none_or(|wanted| wanted == found) && !found.contains(".old"))
        .collect();
    names.sort();
    ensure!(!names.is_empty(), "there is no log of {}", name.unwrap_or("anything"));
    let mut tail = Command::new("tail");
    tail.args(["-n", "200"]).current_dir(folder);
    if follow {
        tail.arg("-F");
    }
    let status = tail.args(names.iter().map(|name| format!("{name}.log"))).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn places(workspace: &Workspace, release: bool) -> Places {
    let home = workspace.home();
    Places {
        bin: workspace.bin(release),
        catalogue: workspace.catalogue(),
        artifacts: home.join("artifacts"),
        home,
        names: true,
    }
}

fn supervisor(workspace: &Workspace) -> Option<Record> {
    Record::read(&workspace.home().join("run"), SUPERVISOR).filter(Record::is_alive)
}

fn is_set_up(workspace: &Workspace) -> bool {
    workspace.home().join("postgres/cluster.json").is_file()
}
