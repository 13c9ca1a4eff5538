//! Keeps containers running that should: after a crash of an agent, a kill, a reboot of the machine.

use std::{collections::HashMap, time::Duration};

use domain::ids::InstanceId;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{EngineError, Inner, LocalEngine, find_running, record, record::Desired, record::Found};

/// Between looks; an agent of this process rings besides when it ends.
const INTERVAL: Duration = Duration::from_secs(2);
/// Agents started together.
const AT_ONCE: usize = 8;
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// An agent that ran this long has recovered, and its next end is a first one.
const RECOVERED: Duration = Duration::from_mins(2);

/// What is remembered of an agent that was started again.
#[derive(Clone, Copy, Debug)]
struct Restarts {
    last: Instant,
    backoff: Duration,
}

impl LocalEngine {
    /// Starts agents again that should run and do not, each after a pause that doubles up to a minute. Ends when
    /// cancelled; agents keep running. `on_look` is called before each look, for a watchdog.
    pub async fn supervise(&self, cancel: CancellationToken, on_look: impl Fn()) {
        let mut history = HashMap::new();
        loop {
            on_look();
            // Stopping between two looks, never within one, leaves no half-started agent.
            self.0.revive(&mut history).await;
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.0.ended.notified() => {}
                () = sleep(INTERVAL) => {}
            }
        }
    }
}

impl Inner {
    async fn revive(&self, history: &mut HashMap<InstanceId, Restarts>) {
        let ids = self.layout.instances().unwrap_or_else(|error| {
            tracing::error!(
                error = crate::chain(&error),
                "containers could not be looked at; the next look follows"
            );
            Vec::new()
        });
        history.retain(|id, restarts| ids.contains(id) && restarts.last.elapsed() < RECOVERED);
        let due = ids
            .into_iter()
            .filter(|id| history.get(id).is_none_or(|restarts| restarts.last.elapsed() >= restarts.backoff));
        // Side by side: an agent that takes its time to fail must not delay another customer's.
        let revived: Vec<_> = stream::iter(due.collect::<Vec<_>>())
            .map(async |id| (id, self.revive_one(id).await))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (id, outcome) in revived {
            match outcome {
                Ok(false) => continue,
                Ok(true) => {
                    tracing::warn!(instance = %id, "the agent of {id} should run and did not; it was started again");
                }
                Err(error) => {
                    tracing::error!(instance = %id, error = crate::chain(&error), "the agent of {id} cannot be started, and its game stays down; it is tried again at the next look");
                }
            }
            let backoff = history.get(&id).map_or(FIRST_BACKOFF, |restarts| restarts.backoff * 2);
            history.insert(id, Restarts { last: Instant::now(), backoff: backoff.min(LONGEST_BACKOFF) });
        }
    }

    /// Whether it had to be started. Whoever holds its lock is changing it right now: left alone until the next look.
    async fn revive_one(&self, id: InstanceId) -> Result<bool, EngineError> {
        let paths = self.layout.paths(id);
        let should_run = || match record::find(&paths, id)? {
            Found::Ours(record) if record.desired == Desired::Running => Ok(Some(record)),
            _ => Ok::<_, EngineError>(None),
        };
        let down = |record: &record::Record| find_running(&paths, record).is_none();
        if !should_run()?.is_some_and(|record| down(&record)) {
            return Ok(false);
        }
        let Some(_lock) = self.locks.try_acquire(id)? else { return Ok(false) };
        // Read again under the lock: it may have been stopped or started since.
        let Some(mut record) = should_run()?.filter(|record| down(record)) else { return Ok(false) };
        self.launch(&paths, &mut record).await.map(|()| true)
    }
}
