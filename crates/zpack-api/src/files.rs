//! Who may do what with an instance's files and when, and what the agent's refusals mean to a customer.

use std::{sync::Arc, time::Duration};

use domain::{
    agent::{FileJob, FileJobState},
    instance::{HoldReason, Instance, Lifecycle, PowerRefusal},
    operation::OperationKind,
};
use integrations::agent::{AgentError, AgentSession};

use crate::{
    agent,
    app::App,
    problem::{Code, Problem},
};

/// How long the answer to a new job waits for the job's end.
const JOB_WAIT: Duration = Duration::from_secs(3);

/// A session for reading: a customer who owes money is not locked out of their data.
pub async fn reader(app: &App, instance: &Instance) -> Result<Arc<dyn AgentSession>, Problem> {
    session(app, instance, |reason| reason != HoldReason::Billing).await
}

/// A session for changing something.
pub async fn writer(app: &App, instance: &Instance) -> Result<Arc<dyn AgentSession>, Problem> {
    if let Some(operation) = instance.active_operation.filter(|it| replaces_files(it.kind)) {
        return Err(PowerRefusal::Busy(operation.id).into());
    }
    session(app, instance, |_| true).await
}

/// Whether what is written meanwhile would be lost.
fn replaces_files(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Delete | OperationKind::Restore)
}

async fn session(
    app: &App,
    instance: &Instance,
    forbids: impl Fn(HoldReason) -> bool,
) -> Result<Arc<dyn AgentSession>, Problem> {
    if instance.lifecycle != Lifecycle::Active {
        return Err(PowerRefusal::NotActive(instance.lifecycle).into());
    }
    if let Some(hold) = instance.holds.iter().find(|hold| forbids(hold.reason)) {
        return Err(PowerRefusal::OnHold(hold.reason).into());
    }
    agent::session(app, instance).await.map_err(|error| refused(&error))
}

/// What a customer is told when the agent does not do something with files. Its own words are for them.
pub fn refused(error: &AgentError) -> Problem {
    let (code, detail) = match error {
        AgentError::Conflict { code, detail } if code == "already_exists" => (Code::FileExists, detail),
        AgentError::Conflict { detail, .. } => (Code::FileConflict, detail),
        AgentError::Rejected { status, detail, .. } => (code(*status), detail),
        error => return agent::away(error, "Whether it was done is not known: look before you try again."),
    };
    Problem::new(code, detail.clone())
}

fn code(status: u16) -> Code {
    match status {
        404 => Code::FileNotFound,
        408 => Code::BodyTimeout,
        412 => Code::VersionMismatch,
        413 => Code::FileTooLarge,
        416 => Code::RangeNotSatisfiable,
        429 => Code::TooManyFileJobs,
        507 => Code::NoSpace,
        _ => Code::InvalidFileRequest,
    }
}

/// A job a little later: at its end, or when the wait is over.
pub async fn soon(session: &dyn AgentSession, job: FileJob) -> Result<FileJob, AgentError> {
    if job.state == FileJobState::Running { session.file_job(job.id, JOB_WAIT).await } else { Ok(job) }
}
