//! What the daemons cost while nothing is asked of them: memory and CPU of their processes.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    bench::{Aim, Measurement},
    interrupt,
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
    wait(SETTLES)?;
    let step = ui::step("Idling");
    let (begun, before) = (Instant::now(), ticks_of(&watched)?);
    wait(WATCHED)?;
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
    wait(SETTLES)?;
    let api = daemons(stack).into_iter().filter(|(name, _)| *name == Daemon::Api.name());
    api.map(|(name, pid)| memory(&format!("RSS of {name} after the load"), pid)).collect()
}

fn daemons(stack: &Stack) -> Vec<(&'static str, i32)> {
    let records = stack.records();
    let pid = |daemon: Daemon| records.iter().find(|record| record.name == daemon.name()).map(|it| it.pid);
    [Daemon::Api, Daemon::Worker].into_iter().filter_map(|it| Some((it.name(), pid(it)?))).collect()
}

/// The process that runs the agent itself: the isolation around it has the same words later in its arguments.
fn agent(container: &Path) -> Result<i32> {
    let root = container.canonicalize()?.join("root");
    let wanted = format!("\0run\0--root\0{}\0", root.display());
    let is_agent = |cmdline: &[u8]| {
        let text = String::from_utf8_lossy(cmdline);
        text.find('\0').is_some_and(|end| text[end..].starts_with(&wanted))
    };
    let pids = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut agents =
        pids.filter(|pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| is_agent(&line)));
    agents.next().context("the agent does not run")
}

fn wait(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn ticks_of(watched: &[(&str, i32)]) -> Result<Vec<f64>> {
    watched.iter().map(|(name, pid)| ticks(*pid).with_context(|| format!("{name} has ended"))).collect()
}

/// Time on a CPU so far, user and system (proc_pid_stat(5), fields 14 and 15).
fn ticks(pid: i32) -> Option<f64> {
    parse_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_ticks(stat: &str) -> Option<f64> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(field(11)? + field(12)?)
}

fn memory(name: &str, pid: i32) -> Result<Measurement> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("{name}: it has ended"))?;
    let mib = parse_rss(&status).with_context(|| format!("{name}: no VmRSS"))? / 1_024.0;
    Ok(Measurement::new(name, mib, "MiB"))
}

/// Resident memory in KiB, the program's own pages included (proc_pid_status(5)).
fn parse_rss(status: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_read_as_the_kernel_writes_them() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0";
        assert!((parse_ticks(stat).unwrap() - 42.0).abs() < 1e-9);
        assert!((parse_rss("VmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n").unwrap() - 2_048.0).abs() < 1e-9);
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(ticks(own).is_some() && memory("us", own).unwrap().value > 0.0);
    }
}
