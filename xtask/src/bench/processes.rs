//! What the kernel says of processes: which they are, and what they use.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::Measurement;
use crate::{
    interrupt,
    stack::{Daemon, Stack},
};

/// The process of a daemon.
pub(super) fn daemon(stack: &Stack, daemon: Daemon) -> Result<i32> {
    let records = stack.records();
    let record = records.iter().find(|record| record.name == daemon.name());
    record.map(|record| record.pid).with_context(|| format!("{} does not run", daemon.name()))
}

/// The process that runs the agent itself: the isolation around it has the same words later in its arguments.
pub(super) fn agent(container: &Path) -> Result<i32> {
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

/// Does nothing for a while, so that pools and timers come to rest.
pub(super) fn rest(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
/// Time on a CPU so far, user and system (proc_pid_stat(5), fields 14 and 15).
pub(super) fn ticks(pid: i32) -> Option<f64> {
    parse_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_ticks(stat: &str) -> Option<f64> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(field(11)? + field(12)?)
}

/// Resident memory at this moment.
pub(super) fn memory(name: &str, pid: i32) -> Result<Measurement> {
    kilobytes(name, pid, "VmRSS:")
}

/// The most memory that the API and a server's agent have resident, from [`Peaks::begin`] on.
pub(super) struct Peaks {
    api: i32,
    agent: i32,
}

impl Peaks {
    /// Begins new peaks (proc_pid_clear_refs(5): 5 resets one).
    pub(super) fn begin(stack: &Stack, container: &Path) -> Result<Self> {
        let peaks = Self { api: daemon(stack, Daemon::Api)?, agent: agent(container)? };
        for pid in [peaks.api, peaks.agent] {
            let reset = fs::write(format!("/proc/{pid}/clear_refs"), "5");
            reset.with_context(|| format!("reset the peak of {pid}"))?;
        }
        Ok(peaks)
    }

    /// What they came to.
    pub(super) fn report(&self) -> Result<[Measurement; 2]> {
        let peak = |name: &str, pid| kilobytes(name, pid, "VmHWM:");
        Ok([peak("peak RSS of zpack-api", self.api)?, peak("peak RSS of zlh-agent", self.agent)?])
    }
}

fn kilobytes(name: &str, pid: i32, key: &str) -> Result<Measurement> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("{name}: it has ended"))?;
    let mib = parse(&status, key).with_context(|| format!("{name}: no {key}"))? / 1_024.0;
    Ok(Measurement::new(name, mib, "MiB"))
}

/// A size in KiB, the program's own pages included (proc_pid_status(5)).
fn parse(status: &str, key: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_read_as_the_kernel_writes_them() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0";
        assert!((parse_ticks(stat).unwrap() - 42.0).abs() < 1e-9);
        let status = "VmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n";
        assert!((parse(status, "VmRSS:").unwrap() - 2_048.0).abs() < 1e-9);
        assert!((parse(status, "VmHWM:").unwrap() - 9.0).abs() < 1e-9);
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(ticks(own).is_some() && memory("us", own).unwrap().value > 0.0);
    }
}
