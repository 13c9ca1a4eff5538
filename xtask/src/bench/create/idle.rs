//! What the daemons cost while nothing is asked of them: memory and CPU of their processes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    bench::{
        Aim, Measurement,
        processes::{self, agent, memory, rest, ticks},
    },
    stack::{Daemon, Stack},
    ui,
};

/// After work, before looking: pools and timers come to rest.
const SETTLES: Duration = Duration::from_secs(5);
/// CPU is counted in ticks of 10 ms: one tick in this time is 0.025 % of a core.
const WATCHED: Duration = Duration::from_secs(40);
/// The kernel's `USER_HZ`, which every architecture of ours has (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

const MOST_MIB: f64 = 15.0;
const MOST_CPU_PERCENT: f64 = 0.2;

/// Measures the daemons, which have done work before, and the agent of the one server that runs.
pub(super) fn measure(stack: &Stack, container: &Path) -> Result<Vec<Measurement>> {
    let mut watched = daemons(stack);
    watched.push(("zlh-agent, its game running", agent(container)?));
    rest(SETTLES)?;
    let step = ui::step("Idling");
    let (begun, before) = (Instant::now(), ticks_of(&watched)?);
    rest(WATCHED)?;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), ticks_of(&watched)?);
    step.done("");
    let mut report = Vec::new();
    for ((name, pid), (before, after)) in watched.iter().zip(before.into_iter().zip(after)) {
        let cpu = (after - before) / TICKS_PER_SECOND / seconds * 100.0;
        report.push(memory(&format!("idle RSS of {name}"), *pid)?.aiming(Aim::AtMost(MOST_MIB)));
        let cpu = Measurement::new(&format!("idle CPU of {name}"), cpu, "% of a core");
        report.push(cpu.aiming(Aim::AtMost(MOST_CPU_PERCENT)));
    }
    Ok(report)
}

/// The API's memory once it has served a load: it should come near what it was.
pub(super) fn after_load(stack: &Stack) -> Result<Vec<Measurement>> {
    rest(SETTLES)?;
    let api = daemons(stack).into_iter().filter(|(name, _)| *name == Daemon::Api.name());
    api.map(|(name, pid)| memory(&format!("RSS of {name} after the load"), pid)).collect()
}

fn daemons(stack: &Stack) -> Vec<(&'static str, i32)> {
    let pid = |daemon: Daemon| Some((daemon.name(), processes::daemon(stack, daemon).ok()?));
    [Daemon::Api, Daemon::Worker].into_iter().filter_map(pid).collect()
}

fn ticks_of(watched: &[(&str, i32)]) -> Result<Vec<f64>> {
    watched.iter().map(|(name, pid)| ticks(*pid).with_context(|| format!("{name} has ended"))).collect()
}
