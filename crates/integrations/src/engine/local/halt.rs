//! Stopping a container: ask its agent, then kill whatever is left of it.

use std::time::Duration;

use domain::ids::InstanceId;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    EngineError, Inner, blocking, find_running, layout::Paths, process, process::ProcessMark, record,
    record::Desired, record::Found,
};

/// From SIGKILL to gone. Only a process stuck in the kernel takes longer.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
/// Passes over the process table: a process that is being killed may have started another.
const PASSES: usize = 10;

impl Inner {
    pub(super) async fn stop(&self, id: InstanceId, grace: Duration) -> Result<(), EngineError> {
        let _lock = self.locks.acquire(id).await?;
        let paths = self.layout.paths(id);
        let mut record = match record::find(&paths, id)? {
            Found::Missing => return Ok(()),
            Found::NotOurs => return Err(EngineError::NotOurs(id)),
            Found::Ours(record) => record,
        };
        if record.desired != Desired::Stopped {
            // First, so that the supervisor of another process does not start it again.
            record.desired = Desired::Stopped;
            record.save(&paths)?;
        }
        if let Some(outermost) = find_running(&paths, &record) {
            ask(&paths, outermost, grace).await;
        }
        self.kill(&paths).await?;
        self.cgroups.remove(id).await?;
        record.process = None;
        record.save(&paths)
    }

    /// Kills every process of the container. The caller holds the lock.
    pub(super) async fn kill(&self, paths: &Paths) -> Result<(), EngineError> {
        for _ in 0..PASSES {
            let of = paths.clone();
            let left = blocking(move || Ok(processes(&of))).await?;
            if left.is_empty() {
                // A missing file is what is wanted, and a stale one is recognised as such.
                let _ = std::fs::remove_file(paths.pid_file());
                return Ok(());
            }
            for mark in &left {
                mark.signal(Signal::KILL);
            }
            for mark in left {
                if !mark.ends_within(KILL_DEADLINE).await {
                    let reason = format!("process {} does not end", mark.pid);
                    return Err(EngineError::Transient { action: "kill a container", reason });
                }
            }
        }
        let reason = "its processes keep starting others".into();
        Err(EngineError::Transient { action: "kill a container", reason })
    }
}

/// SIGTERM to the agent's init, and so to the agent, which stops the game and ends; not to bubblewrap around it, which would end at once and take
/// everything with it. Comes back when the outermost process has ended, or `grace` is over.
async fn ask(paths: &Paths, outermost: ProcessMark, grace: Duration) {
    let deadline = Instant::now() + grace;
    let root = paths.root();
    let table = process::table();
    let family = process::with_descendants(&table, &[outermost]);
    // Nearest first: a game further down may call itself what it likes.
    let init = family.into_iter().find(|mark| process::is_init_of(mark.pid, &root));
    if init.is_some_and(|init| init.signal(Signal::TERM)) {
        outermost.ends_within(deadline.saturating_duration_since(Instant::now())).await;
    }
}

/// What runs of a container: everything that was started to run its agent, and all that descends from it.
fn processes(paths: &Paths) -> Vec<ProcessMark> {
    let root = paths.root();
    let table = process::table();
    let roots: Vec<ProcessMark> = table
        .iter()
        .map(|process| process.mark)
        .filter(|mark| process::runs_agent_of(mark.pid, &root))
        .collect();
    process::with_descendants(&table, &roots)
}
