//! The private stack that is measured: release builds, a PostgreSQL whose commits survive a power cut, a folder that
//! goes away afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, anyhow};

use super::{Build, game};
use crate::{
    artifacts, build, interrupt,
    postgres::Durability,
    prereq,
    process::{self, start_time},
    secrets,
    stack::{DATABASE, Daemon, Places, Stack},
    ui,
    workspace::Workspace,
};

/// Builds what is measured, and what the measured installs.
pub(super) fn build(workspace: &Workspace, build: Build) -> Result<()> {
    prereq::ensure(prereq::STACK)?;
    prereq::ensure_node()?;
    let (catalogue, tree) = (workspace.catalogue(), workspace.home().join("artifacts"));
    let artifacts = thread::spawn(move || artifacts::prepare(&catalogue, &tree, artifacts::Wanted::Games));
    build::programs(workspace, build == Build::Release)?;
    let step = ui::step("Artifacts");
    let made = artifacts.join().map_err(|_| anyhow!("making the artifacts panicked"))??;
    step.done(&made.join(", "));
    Ok(())
}

/// Starts a stack of its own, lets `measure` at it, and stops and removes it, whatever came of that.
pub(super) fn with<T>(
    workspace: &Workspace,
    build: Build,
    measure: impl FnOnce(&mut Stack) -> Result<T>,
) -> Result<T> {
    let home = home(workspace)?;
    run(Stack::open(places(workspace, build, &home), Durability::Full)?, "", measure)
}

/// As [`with`], with names at the sandbox for servers.
pub(super) fn with_names<T>(
    workspace: &Workspace,
    build: Build,
    settings: &str,
    measure: impl FnOnce(&mut Stack) -> Result<T>,
) -> Result<T> {
    let home = home(workspace)?;
    let places = Places { names: true, ..places(workspace, build, &home) };
    run(Stack::open(places, Durability::Full)?, settings, measure)
}

/// As [`with`], with [the measured game](game) besides the catalogue's, an artifact tree of its own, and settings of
/// the daemons that differ from the usual.
pub(super) fn with_game<T>(
    workspace: &Workspace,
    build: Build,
    settings: &str,
    measure: impl FnOnce(&mut Stack) -> Result<T>,
) -> Result<T> {
    let home = home(workspace)?;
    let (catalogue, artifacts) = (home.join("catalogue"), home.join("artifacts"));
    let places = Places { catalogue, artifacts, ..places(workspace, build, &home) };
    fs::create_dir_all(places.catalogue.join("blueprints"))?;
    fs::create_dir_all(&places.artifacts)?;
    fs::copy(workspace.catalogue().join("plans.toml"), places.catalogue.join("plans.toml"))?;
    fs::write(places.catalogue.join("blueprints/bench.toml"), game::blueprint())?;
    artifacts::write_catalog(&places.artifacts)?;
    run(Stack::open(places, Durability::Full)?, settings, measure)
}

/// A new folder for this run; what runs that were killed have left is removed first.
fn home(workspace: &Workspace) -> Result<PathBuf> {
    let parent = workspace.target.join("zlh-bench");
    sweep(workspace, &parent)?;
    Ok(parent.join(std::process::id().to_string()))
}

fn run<T>(mut stack: Stack, settings: &str, measure: impl FnOnce(&mut Stack) -> Result<T>) -> Result<T> {
    let outcome = start(&mut stack, settings).and_then(|()| measure(&mut stack));
    if outcome.is_err() && !interrupt::requested() {
        show_logs(&stack);
    }
    let removed = remove(stack);
    let outcome = outcome?;
    removed.map(|()| outcome)
}

/// The logs go away with the stack.
fn show_logs(stack: &Stack) {
    for daemon in Daemon::ALL {
        ui::warn(&format!("{} said last:\n{}", daemon.name(), process::tail(&stack.log(daemon.name()), 5)));
    }
}

fn places(workspace: &Workspace, build: Build, home: &Path) -> Places {
    Places {
        home: home.to_owned(),
        bin: workspace.bin(build == Build::Release),
        catalogue: workspace.catalogue(),
        artifacts: workspace.home().join("artifacts"),
        names: false,
    }
}

fn start(stack: &mut Stack, settings: &str) -> Result<()> {
    let step = ui::step("A stack to measure");
    stack.start_postgres()?;
    stack.start_redis()?;
    stack.configure()?;
    let config = fs::read_to_string(stack.config_file())?;
    secrets::write_private(&stack.config_file(), &format!("{config}\n{settings}"))?;
    for daemon in Daemon::ALL {
        interrupt::check()?;
        stack.start(*daemon)?;
    }
    step.done("");
    Ok(())
}

fn remove(mut stack: Stack) -> Result<()> {
    stack.stop_all()?;
    stack.cluster.remove()?;
    fs::remove_dir_all(stack.home()).context("cannot remove the measured stack's folder")
}

/// Stops and removes what runs that were killed have left.
fn sweep(workspace: &Workspace, parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if pid.is_none_or(|pid| start_time(pid).is_some()) {
            continue;
        }
        if entry.path().join("postgres/cluster.json").is_file() {
            remove(Stack::open(places(workspace, Build::Release, &entry.path()), Durability::Full)?)?;
        } else {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Room for more servers than a run can ask for: node after node, each with as many as it has ports for. The node of
/// the worker, which is stopped by now, takes no more.
pub(super) fn make_room(stack: &Stack, nodes: u32, memory_mib: u32) -> Result<()> {
    let (first, last) = (1_024, 65_535);
    let servers = (last - first + 1) / PORTS_PER_SERVER;
    let plenty = i64::from(servers) * 1_000_000;
    let memory = i64::from(servers) * i64::from(memory_mib);
    stack
        .cluster
        .sql(
            DATABASE,
            &format!(
                "UPDATE nodes SET cordoned = true;
                 INSERT INTO nodes (id, name, public_host, agent_host, memory_mib, cpu_percent, disk_mib, created_at)
                 SELECT gen_random_uuid(), 'bench-' || n, '127.0.0.1', '127.0.0.1', {memory}, {plenty}, {plenty}, now()
                 FROM generate_series(1, {nodes}) n;
                 INSERT INTO port_allocations (node_id, port)
                 SELECT id, port FROM nodes, generate_series({first}, {last}) port WHERE NOT cordoned;
                 ANALYZE;"
            ),
        )
        .map(drop)
}

/// The game's and the agent's.
const PORTS_PER_SERVER: u32 = 2;
