//! Waiting for an agent: long polls with a deadline, ending early on success and on failure.

use std::{sync::Arc, time::Duration};

use domain::agent::{AgentState, AgentStatus};
use integrations::{
    agent::{AgentError, AgentSession, Pace},
    edge::EdgeError,
    objects::ObjectError,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{StepError, Work};

/// How long one long poll is held open.
const POLL: Duration = Duration::from_secs(5);

/// Pause before an agent that did not answer is asked again, doubling up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How often an agent that always has something new is asked, on average.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// What a status means to who waits.
pub(super) enum Seen {
    /// What was waited for.
    Done,
    /// Not yet; what to tell people.
    Going(Option<String>),
    /// It will not come.
    Failed(StepError),
}

/// Watches an agent until `judge` has seen enough, at most `deadline` long. `late` is the failure at the deadline.
pub(super) async fn watch(
    work: &Work,
    agent: &Arc<dyn AgentSession>,
    deadline: Duration,
    late: impl FnOnce() -> StepError,
    judge: impl Fn(&AgentStatus) -> Seen,
) -> Result<(), StepError> {
    let end = Instant::now() + deadline;
    let mut since = None;
    let mut told = None;
    let mut pace = Pace::new(EVERY);
    loop {
        let Ok(()) = timeout_at(end, pace.next()).await else { return Err(late()) };
        let Ok(status) = timeout_at(end, next_status(agent, since)).await else { return Err(late()) };
        let status = status?;
        since = Some(status.revision);
        match judge(&status) {
            Seen::Done => return Ok(()),
            Seen::Failed(error) => return Err(error),
            Seen::Going(detail) => {
                if detail != told {
                    work.report(detail.as_deref().unwrap_or_default()).await?;
                    told = detail;
                }
            }
        }
    }
}

/// The next status. An agent that is away may be restarting: it is asked again until the caller's deadline.
async fn next_status(agent: &Arc<dyn AgentSession>, since: Option<u64>) -> Result<AgentStatus, AgentError> {
    let mut pause = PAUSES.0;
    loop {
        match agent.status(since, POLL).await {
            Err(error) if error.is_transient() => {
                tracing::debug!(error = %error, "the agent does not answer yet");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            outcome => return outcome,
        }
    }
}

/// An error that may pass by itself.
pub(crate) trait Passing {
    /// Whether trying again can help.
    fn may_pass(&self) -> bool;
}

impl Passing for AgentError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

impl Passing for EdgeError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

impl Passing for ObjectError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

/// Calls until it succeeds or fails for good, at most `deadline` long; then the last error counts.
pub(crate) async fn insist<T, E, Fut>(deadline: Duration, mut call: impl FnMut() -> Fut) -> Result<T, E>
where
    E: Passing,
    Fut: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + deadline;
    let mut pause = PAUSES.0;
    loop {
        match call().await {
            Err(error) if error.may_pass() && Instant::now() + pause < end => {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            outcome => return outcome,
        }
    }
}

/// The fault of an agent that gave up, or one made up for an agent that says nothing.
pub(super) fn fault(status: &AgentStatus) -> StepError {
    match &status.error {
        Some(fault) => fault.clone().into(),
        None => StepError::internal(format!("the agent is {:?} and does not say why", status.state)),
    }
}

/// Whether the service's process is gone.
pub(super) fn is_down(state: AgentState) -> bool {
    !matches!(state, AgentState::Starting | AgentState::Running | AgentState::Stopping)
}
