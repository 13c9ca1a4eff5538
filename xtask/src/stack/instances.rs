//! The game servers of a stack. They outlive the worker, which is right in production; here they end with the rest.
//! Each container's agent is recognised by its arguments, `run --root CONTAINERS/ID/root`.

use std::{fs, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

use anyhow::Result;
use rustix::process::Signal;

use crate::{
    process::{Record, start_time},
    wait,
};

/// Longer than the grace of the blueprints' games.
const STOPS_WITHIN: Duration = Duration::from_secs(100);
const DIES_WITHIN: Duration = Duration::from_secs(10);

/// A process that belongs to a container.
struct Found {
    record: Record,
    /// The agent itself, rather than the sandbox around it.
    is_agent: bool,
}

/// How many containers of this engine folder run.
pub fn running_instances(containers: &Path) -> usize {
    find(containers).iter().filter(|found| found.is_agent).count()
}

/// Asks all agents to stop, and kills what has not ended in time. A saved world is worth a moment.
pub fn kill_instances(containers: &Path) -> Result<()> {
    for found in find(containers).iter().filter(|found| found.is_agent) {
        found.record.signal(Signal::TERM);
    }
    let all_gone = || Ok(find(containers).is_empty().then_some(()));
    wait::until("game servers", STOPS_WITHIN, all_gone).or_else(|_| {
        for found in find(containers) {
            found.record.signal(Signal::KILL);
        }
        wait::until("game servers do not die", DIES_WITHIN, all_gone)
    })
}

fn find(containers: &Path) -> Vec<Found> {
    let Ok(root) = containers.canonicalize() else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let is_agent = agent_arguments(&fs::read(format!("/proc/{pid}/cmdline")).ok()?, &root)?;
        let record = Record { name: "agent".into(), pid, started: start_time(pid)?, port: None };
        Some(Found { record, is_agent })
    })
    .collect()
}

/// Whether these arguments are an agent's of this engine folder (true), or of what started one (false).
fn agent_arguments(cmdline: &[u8], containers: &Path) -> Option<bool> {
    let arguments: Vec<&[u8]> = cmdline.split(|byte| *byte == 0).collect();
    let at = arguments.windows(3).position(|three| {
        let folder = Path::new(std::ffi::OsStr::from_bytes(three[2]));
        matches!(three[0], b"run" | b"shim") && three[1] == b"--root" && folder.starts_with(containers)
    })?;
    Some(at == 1 && arguments[1] == b"run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agents_below_the_folder_are_recognised() {
        let root = Path::new("/x/containers");
        let ours = |line: &str| agent_arguments(line.replace(' ', "\0").as_bytes(), root);
        assert_eq!(ours("/bin/zlh-agent run --root /x/containers/1/root --listen a"), Some(true));
        assert_eq!(ours("bwrap -- /bin/zlh-agent run --root /x/containers/1/root"), Some(false));
        assert_eq!(ours("/bin/zlh-agent init -- run --root /x/containers/1/root"), Some(false));
        assert_eq!(ours("/proc/self/exe shim --root /x/containers/1/root"), Some(false));
        assert_eq!(ours("/bin/zlh-agent run --root /x/containers-2/1/root"), None);
        assert_eq!(ours("ls /x/containers"), None);
    }

    #[test]
    fn nothing_runs_in_a_folder_that_is_not_there() {
        assert_eq!(running_instances(Path::new("/no/such/folder")), 0);
        kill_instances(Path::new("/no/such/folder")).unwrap();
    }
}
