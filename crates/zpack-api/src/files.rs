//! Who may do what with an instance's files and when.

use std::{sync::Arc, time::Duration};

use domain::{
    agent::{FileJob, FileJobState},
    instance::{HoldReason, Instance, Lifecycle, PowerRefusal},
};
use integrations::agent::{AgentError, AgentSession};

use crate::agent::Agents;

/// How long the answer to a new job waits for the job's end.
const JOB_WAIT: Duration = Duration::from_secs(3);

/// Why something was not done with files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It may not be done now.
    #[error(transparent)]
    Refused(#[from] PowerRefusal),
    /// The agent did not do it, or did not answer.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// A session for reading: a customer who owes money is not locked out of their data.
pub async fn reader(agents: &Agents, instance: &Instance) -> Result<Arc<dyn AgentSession>, FilesError> {
    session(agents, instance, |reason| reason != HoldReason::Billing).await
}

/// A session for changing something.
pub async fn writer(agents: &Agents, instance: &Instance) -> Result<Arc<dyn AgentSession>, FilesError> {
    if let Some(operation) = instance.active_operation.filter(|it| it.kind.saga().replaces_files) {
        return Err(PowerRefusal::Busy(operation.id).into());
    }
    session(agents, instance, |_| true).await
}

async fn session(
    agents: &Agents,
    instance: &Instance,
    forbids: impl Fn(HoldReason) -> bool,
) -> Result<Arc<dyn AgentSession>, FilesError> {
    if instance.lifecycle != Lifecycle::Active {
        return Err(PowerRefusal::NotActive(instance.lifecycle).into());
    }
    if let Some(hold) = instance.holds.iter().find(|hold| forbids(hold.reason)) {
        return Err(PowerRefusal::OnHold(hold.reason).into());
    }
    Ok(agents.session(instance).await?)
}

/// A job a little later: at its end, or when the wait is over.
pub async fn soon(session: &dyn AgentSession, job: FileJob) -> Result<FileJob, AgentError> {
    if job.state == FileJobState::Running { session.file_job(job.id, JOB_WAIT).await } else { Ok(job) }
}
