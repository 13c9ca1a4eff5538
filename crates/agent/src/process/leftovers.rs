//! Finds and kills what a game left behind: children that outlived it, or a game that outlived its agent.
//!
//! Every process that the agent starts carries its instance's id in its environment, which children inherit. A
//! process group would miss those that made a session of their own.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tracing::{info, warn};

/// The variable that marks a process as an instance's.
pub const MARK: &str = "ZLH_GAME_OF";
/// Passes over all processes: one that is being killed may have started another.
const PASSES: usize = 10;

/// Kills every process marked with `instance`, and what those start meanwhile. Blocking: reads `/proc`.
pub fn kill_all(instance: &str) {
    let mark = format!("{MARK}={instance}");
    for pass in 0..PASSES {
        let killed = kill_once(&mark);
        if killed == 0 {
            return;
        }
        info!(killed, pass, "killed processes that the server left behind");
    }
    warn!("processes that the server left behind keep starting others");
}

fn kill_once(mark: &str) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else {
        warn!("/proc cannot be read: leftovers are not looked for");
        return 0;
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| kill_if_marked(*pid, mark)).count()
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
