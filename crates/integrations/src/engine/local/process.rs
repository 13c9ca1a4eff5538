//! Processes by what `/proc` says of them. A process is named by pid and start time, so that a reused pid is never
//! taken for ours, and signalled through a pidfd, so that it cannot be reused in between.

use std::{
    collections::HashSet, ffi::OsStr, fs, os::fd::OwnedFd, os::unix::ffi::OsStrExt as _, path::Path,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(5);

/// A process that is or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct ProcessMark {
    pub(super) pid: u32,
    /// Clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
    pub(super) start_time: u64,
}

/// A line of the process table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) mark: ProcessMark,
    parent: u32,
    /// Ended, and not waited for.
    dead: bool,
}

impl ProcessMark {
    /// The process that has this pid now.
    pub(super) fn of(pid: u32) -> Option<Self> {
        read(pid).map(|process| process.mark)
    }

    /// Whether this very process is there and has not ended.
    pub(super) fn is_alive(self) -> bool {
        read(self.pid).is_some_and(|process| process.mark == self && !process.dead)
    }

    /// Sends a signal, to this very process only. False when it is gone.
    pub(super) fn signal(self, signal: Signal) -> bool {
        self.open().is_some_and(|fd| pidfd_send_signal(&fd, signal).is_ok())
    }

    /// Whether it has ended, waiting at most this long.
    pub(super) async fn ends_within(self, limit: Duration) -> bool {
        // Looked at rather than waited for: waiting for a pidfd needs unsafe code, and one small read is cheap.
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }

    fn open(self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Only now is it certain whose descriptor this is.
        self.is_alive().then_some(fd)
    }
}

fn read(pid: u32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: u32, stat: &str) -> Option<Process> {
    // The second field is the program's name, which may contain spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        mark: ProcessMark { pid, start_time: fields.get(19)?.parse().ok()? },
        parent: fields.get(1)?.parse().ok()?,
        dead: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// All living processes.
pub(super) fn table() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read).filter(|process| !process.dead).collect()
}

/// These processes and all that descend from them, nearest first.
pub(super) fn with_descendants(table: &[Process], of: &[ProcessMark]) -> Vec<ProcessMark> {
    let mut found: Vec<ProcessMark> = of.to_vec();
    let mut seen: HashSet<u32> = found.iter().map(|mark| mark.pid).collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = table.iter().filter(|process| process.parent == parent.pid);
        found.extend(children.map(|process| process.mark).filter(|mark| seen.insert(mark.pid)));
    }
    found
}

/// Whether it was started to run the agent of the container with this root: `enter`, bubblewrap, the agent's init, the
/// agent itself, or the shim of its game, which outlives it.
pub(super) fn runs_agent_of(pid: u32, root: &Path) -> bool {
    let wanted = ["run", "shim"].map(|word| words(&[word.as_ref(), "--root".as_ref(), root.as_os_str()]));
    let arguments = arguments(pid);
    wanted.iter().any(|wanted| arguments.windows(wanted.len()).any(|part| part == wanted))
        && is_ours_to_name(pid)
}

/// A process inside a container chooses its own arguments, and so could pass itself off as another container's. Only
/// what runs outside of all containers counts, and a container's own first process, which is bubblewrap's.
fn is_ours_to_name(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    // Its pid in our namespace, then in each one below (proc(5)).
    matches!(line.split_ascii_whitespace().collect::<Vec<_>>()[..], [_] | [_, "1"])
}

/// Whether it is what SIGTERM goes to: the agent's init, which passes it on, whether or not the agent lives just now. A
/// container that an engine before this one started has the agent only.
pub(super) fn is_init_of(pid: u32, root: &Path) -> bool {
    let run: [&OsStr; 3] = ["run".as_ref(), "--root".as_ref(), root.as_os_str()];
    let init = [&["init".as_ref(), "--".as_ref()], &run[..]].concat();
    let arguments = arguments(pid);
    let own = arguments.get(1..).unwrap_or_default();
    own.starts_with(&words(&init)) || own.starts_with(&words(&run))
}

/// The arguments by which our processes are recognised. The root is the container's own, so no other has them.
fn words(words: &[&OsStr]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn arguments(pid: u32) -> Vec<Vec<u8>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.strip_suffix(b"\0").unwrap_or(&line).split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 1";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.parent, process.dead, process.mark.start_time), (3, false, 4242));
    }

    #[test]
    fn a_reused_pid_is_not_the_process_that_was() {
        let own = ProcessMark::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let former = ProcessMark { start_time: own.start_time - 1, ..own };
        assert!(!former.is_alive() && !former.signal(Signal::TERM));
    }
}
