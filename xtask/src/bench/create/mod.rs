//! `cargo xtask bench create`: what a create costs, in release builds, on a PostgreSQL of its own with real durability.
//!
//! All in one run: creates a second beside pgbench's single rows, our share of the time from a create to a server
//! that can be joined, how soon a job is picked up, and what the daemons cost while they idle.

mod boot;
mod idle;
mod load;
mod pickup;
mod ready;

use anyhow::Result;

use crate::{
    bench::{Build, Measurement, stage, visitor::Visitor},
    interrupt,
    stack::{Daemon, Stack},
    workspace::Workspace,
};

/// Builds, measures, and leaves nothing behind.
pub(super) fn run(workspace: &Workspace, build: Build) -> Result<Vec<Measurement>> {
    interrupt::listen()?;
    stage::build(workspace, build)?;
    stage::with(workspace, build, measure)
}

/// The load comes last: what it creates would keep a worker busy for hours, so the worker is stopped before it.
fn measure(stack: &mut Stack) -> Result<Vec<Measurement>> {
    let visitor = Visitor::open(stack)?;
    let mut ready = ready::measure(stack, &visitor)?;
    ready.extend(pickup::measure(stack, &visitor)?);
    let running = visitor.create("minecraft-js", "flying-squid", ready::PLAN)?.instance;
    let mut idle = idle::measure(stack, &stack.containers().join(&running))?;
    visitor.delete(&running)?;
    stack.stop(Daemon::Worker)?;
    let mut measured = load::measure(stack)?;
    idle.extend(idle::after_load(stack)?);
    measured.extend(ready);
    measured.extend(idle);
    Ok(measured)
}
