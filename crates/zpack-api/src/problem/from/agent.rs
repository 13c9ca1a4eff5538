//! How what an agent did not do, or may not be asked to do now, is told to a client.

use domain::instance::PowerRefusal;
use integrations::agent::{AgentError, AgentErrorKind};

use crate::{
    console::CommandError,
    files::FilesError,
    power::PowerError,
    problem::{Code, Problem},
};

impl Problem {
    /// The agent is away; `kept` says what was not lost.
    pub fn agent_away(error: &AgentError, kept: &str) -> Self {
        tracing::warn!(%error, "an agent did not do what it was asked: {error}");
        Self::new(Code::AgentUnreachable, format!("The server's machine does not answer. {kept}"))
            .retry_after(5)
    }
}

impl From<PowerRefusal> for Problem {
    fn from(refusal: PowerRefusal) -> Self {
        let code = match refusal {
            PowerRefusal::NotActive(_) => Code::InstanceNotActive,
            PowerRefusal::OnHold(_) => Code::InstanceOnHold,
            PowerRefusal::Busy(_) => Code::InstanceBusy,
        };
        Self::new(code, format!("Nothing was changed: {refusal}."))
    }
}

impl From<PowerError> for Problem {
    fn from(error: PowerError) -> Self {
        let (error, kept) = match error {
            PowerError::Refused(refusal) => return refusal.into(),
            PowerError::Store(error) => return error.into(),
            PowerError::Changed => {
                let detail =
                    "The server has changed in this very moment. Nothing was done; look at it and try again.";
                return Self::new(Code::InstanceBusy, detail);
            }
            PowerError::Stored(error) => {
                (error, "Your request is stored and will be carried out as soon as it is back.")
            }
            PowerError::Unseen(error) => (error, "Nothing was changed."),
        };
        if error.kind() == AgentErrorKind::Conflict {
            let detail = "The server's agent cannot do this in its present state.";
            return Self::new(Code::AgentConflict, detail);
        }
        Self::agent_away(&error, kept)
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::Input(error) => {
                Self::new(Code::ValidationFailed, format!("Nothing was sent: {error}."))
                    .field("command", error.to_string())
            }
            CommandError::NotReading => {
                let detail = "The server does not read its input. The line was not taken.";
                Self::new(Code::AgentConflict, detail)
            }
            CommandError::NotRunning => {
                let detail = "Nobody would read the line. Nothing was sent; start the server first.";
                Self::new(Code::NotRunning, detail)
            }
            CommandError::Agent(error) => Self::agent_away(&error, "The line may not have arrived."),
        }
    }
}

/// The agent's own words about files are for customers.
impl From<FilesError> for Problem {
    fn from(error: FilesError) -> Self {
        let error = match error {
            FilesError::Refused(refusal) => return refusal.into(),
            FilesError::Agent(error) => error,
        };
        let (code, detail) = match error {
            AgentError::Conflict { code, detail } if code == "already_exists" => (Code::FileExists, detail),
            AgentError::Conflict { code, detail } if code == "upload_offset_mismatch" => {
                (Code::UploadOffsetMismatch, detail)
            }
            AgentError::Conflict { detail, .. } => (Code::FileConflict, detail),
            AgentError::Rejected { status, detail, .. } => (of_file_status(status), detail),
            error => {
                let kept = "Whether it was done is not known: look before you try again.";
                return Self::agent_away(&error, kept);
            }
        };
        Self::new(code, detail)
    }
}

fn of_file_status(status: u16) -> Code {
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
