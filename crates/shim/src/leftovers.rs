//! Finds and kills what a game left behind: children that outlived it, or a game that outlived its agent.
//!
//! A process group would miss those that made a session of their own. So the shim is the subreaper of its game: whoever
//! loses their parent becomes its child, whatever they did to themselves. Where a shim was killed, its game is known
//! by its environment: every process that the agent starts carries its instance's id there, which children inherit.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal, wait,
        waitpid,
    },
};
use tracing::{info, warn};

/// The variable that marks a process as an instance's.
pub const MARK: &str = "ZLH_GAME_OF";
/// Passes over all processes: one that is being killed may have started another.
const PASSES: usize = 10;
/// Longest time for the end of all children. A killed process ends at once, unless the kernel holds it.
const CHILDREN_END: Duration = Duration::from_secs(5);
/// Between two looks at children that were killed.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Kills all children of this process, which is their subreaper, and those that come to it by that, until there are none.
/// Blocking. Other children of this process must have been collected.
pub fn kill_children() {
    let end = Instant::now() + CHILDREN_END;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => continue,
            Err(Errno::CHILD) => return,
            Ok(None) | Err(_) => {}
        }
        if Instant::now() >= end {
            warn!(
                "processes that the server left behind do not end within {CHILDREN_END:?} and are left to the kernel"
            );
            return;
        }
        for child in children() {
            // Its number is its own until it is collected, which only we do.
            let _ = kill_process(child, Signal::KILL);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Collects the children that have ended, but not `kept`. Blocking: reads `/proc`.
pub fn collect_but(kept: Pid) {
    for child in children().filter(|child| *child != kept) {
        // Still running is as good, and nobody else collects it.
        let _ = waitpid(Some(child), WaitOptions::NOHANG);
    }
}

fn children() -> impl Iterator<Item = Pid> {
    let own = getpid().as_raw_nonzero().get();
    processes().filter(move |pid| parent(*pid) == Some(own)).filter_map(Pid::from_raw)
}

/// The fourth field of proc_pid_stat(5). The second one, the name in brackets, may have anything in it.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    str::from_utf8(&stat[behind_name..]).ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// The numbers of all processes.
fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").inspect_err(
        |error| warn!(%error, "what the server left behind cannot be looked for and may run on: {error}"),
    );
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Kills every process marked with `instance`, and what those start meanwhile. Blocking: reads `/proc`.
pub fn kill_all(instance: &str) {
    let mark = format!("{MARK}={instance}");
    for pass in 0..PASSES {
        let killed = kill_once(&mark);
        if killed == 0 {
            return;
        }
        info!(killed, pass, "{killed} processes that the server left behind were killed");
    }
    warn!("processes that the server left behind keep starting others, and some may run on");
}

fn kill_once(mark: &str) -> usize {
    processes().filter(|pid| kill_if_marked(*pid, mark)).count()
}

/// The handle is opened before the look, so the process looked at is the one that gets the signal.
fn kill_if_marked(pid: i32, mark: &str) -> bool {
    let handle = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(handle) = handle else { return false };
    // Not readable: somebody else's, or gone.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        && pidfd_send_signal(handle, Signal::KILL).is_ok()
}
