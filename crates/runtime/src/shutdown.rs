//! Ending well: a signal becomes a cancellation, then work in progress gets a deadline.

use std::{io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What signals ask for.
#[derive(Clone, Default)]
pub struct Signals {
    /// The first SIGTERM or SIGINT: take no new work, finish what is in progress.
    pub stop: CancellationToken,
    /// The second: end now.
    pub abort: CancellationToken,
}

/// Listens for SIGTERM and SIGINT from now on. Needs a tokio runtime.
pub fn on_signal() -> io::Result<Signals> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let signals = Signals::default();
    let listening = signals.clone();
    tokio::spawn(async move {
        for asked in [listening.stop, listening.abort] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.cancel();
        }
    });
    Ok(signals)
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All work ended by itself.
    Clean,
    /// The deadline passed and this many pieces of work were left.
    Cut {
        /// How many had not ended.
        left: usize,
    },
}

/// Waits until all tracked work has ended, at most for `deadline`.
pub async fn drain(tasks: &TaskTracker, deadline: Duration) -> Drained {
    tasks.close();
    match tokio::time::timeout(deadline, tasks.wait()).await {
        Ok(()) => Drained::Clean,
        Err(_) => Drained::Cut { left: tasks.len() },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_work_that_is_in_progress() {
        let tasks = TaskTracker::new();
        let (finish, finished) = oneshot::channel::<()>();
        tasks.spawn(finished);
        let drained = tokio::spawn({
            let tasks = tasks.clone();
            async move { drain(&tasks, Duration::from_secs(30)).await }
        });
        tokio::task::yield_now().await;
        assert!(!drained.is_finished());

        finish.send(()).unwrap();

        assert_eq!(drained.await.unwrap(), Drained::Clean);
    }

    #[tokio::test]
    async fn a_drain_ends_at_its_deadline_and_says_what_was_left() {
        let tasks = TaskTracker::new();
        tasks.spawn(std::future::pending::<()>());
        let began = Instant::now();

        let drained = drain(&tasks, Duration::from_millis(50)).await;

        assert_eq!(drained, Drained::Cut { left: 1 });
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
