//! A running process: its pipes, its end, and signals to all of its group.

use std::{
    io,
    path::Path,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin},
    sync::{mpsc, oneshot},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tracing::warn;

use super::{console::Console, exit::Exit, launch::Launch, leftovers, lines};

/// Lines for stdin that may wait; a game that does not read has to be stopped in another way.
const STDIN_LINES: usize = 16;
/// How long the rest of the output may take once nobody is left to write it.
const DRAIN: Duration = Duration::from_secs(1);

/// A started process. Dropping it does not stop it; its end is told through the channel that `spawn` gives.
#[derive(Debug)]
pub struct Process {
    group: Pid,
    stdin: mpsc::Sender<String>,
    gone: Arc<AtomicBool>,
}

impl Process {
    /// Starts `launch` with its output in `console`. Must be called on the agent's main thread (see `server::run`).
    pub fn spawn(
        launch: &Launch,
        data: &Path,
        instance: &str,
        console: &Arc<Console>,
    ) -> io::Result<(Self, oneshot::Receiver<Exit>)> {
        let mut child = launch.command(data, instance).spawn()?;
        let group =
            child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or(io::ErrorKind::NotFound)?;
        let (stdin, lines) = mpsc::channel(STDIN_LINES);
        if let Some(pipe) = child.stdin.take() {
            tokio::spawn(write_lines(pipe, lines));
        }
        let gone = Arc::new(AtomicBool::new(false));
        let (tell, exited) = oneshot::channel();
        let watch =
            Watch { group, gone: Arc::clone(&gone), instance: instance.to_owned(), started: Instant::now() };
        tokio::spawn(watch.run(child, Arc::clone(console), tell));
        Ok((Self { group, stdin, gone }, exited))
    }

    /// The process id, which is also its group and its session.
    pub fn pid(&self) -> u32 {
        self.group.as_raw_nonzero().get().cast_unsigned()
    }

    /// Puts a line on its stdin; false when it does not read, or is gone.
    pub fn write_line(&self, line: &str) -> bool {
        self.stdin.try_send(format!("{line}\n")).is_ok()
    }

    /// Sends a signal to the process and its children.
    pub fn signal(&self, signal: Signal) {
        // Once its end was collected the number may be another's.
        if !self.gone.load(Ordering::Relaxed)
            && let Err(error) = kill_process_group(self.group, signal)
        {
            warn!(%error, "signal not sent");
        }
    }
}

async fn write_lines(mut pipe: ChildStdin, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        // A closed stdin is the game's own choice; its end is noticed elsewhere.
        if pipe.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

struct Watch {
    group: Pid,
    gone: Arc<AtomicBool>,
    instance: String,
    started: Instant,
}

impl Watch {
    /// Waits for the end, sees to it that nothing of the game is left, and only then tells.
    async fn run(self, mut child: Child, console: Arc<Console>, tell: oneshot::Sender<Exit>) {
        let mut readers = JoinSet::new();
        if let Some(pipe) = child.stdout.take() {
            readers.spawn(lines::collect(pipe, Arc::clone(&console)));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.spawn(lines::collect(pipe, console));
        }
        let status = child.wait().await;
        self.gone.store(true, Ordering::Relaxed);
        let after = self.started.elapsed();
        // The group's number stays taken while a member lives; without members this finds nobody.
        let _ = kill_process_group(self.group, Signal::KILL);
        let instance = self.instance;
        let _ = spawn_blocking(move || leftovers::kill_all(&instance)).await;
        let _ = timeout(DRAIN, async { while readers.join_next().await.is_some() {} }).await;
        let status = status.unwrap_or_else(|error| {
            warn!(%error, "how the process ended is not known");
            ExitStatus::default()
        });
        // Nobody listens when the agent ends.
        let _ = tell.send(Exit { status, after });
    }
}
