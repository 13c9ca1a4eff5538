//! Why a step failed: a reason for the customer, a cause for the log.

use domain::{agent::AgentFault, operation::Failure};
use integrations::{
    agent::AgentError,
    artifacts::ArtifactError,
    edge::EdgeError,
    engine::{EngineError, EngineErrorKind},
    objects::ObjectError,
};
use store::StoreError;

/// The code of a failure that is the storage's.
pub(crate) const STORAGE_UNREACHABLE: &str = "storage_unreachable";

const STORAGE_AWAY: &str =
    "The backup storage does not answer. Your server's files were not changed; please try again later.";

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A step's failure.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The step cannot be done; the operation turns round.
    #[error("{}: {}", failure.code, failure.message)]
    Failed {
        /// For the customer.
        failure: Failure,
        /// For the log.
        #[source]
        cause: Option<Cause>,
    },
    /// The row could not be read or written. Says nothing about the step.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StepError {
    /// A failure that a customer understands.
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::new(code, message), cause: None }
    }

    /// A failure of ours. The customer learns that it was not their fault; the log has the cause.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        let message = "Something went wrong on our side. Nothing of yours was changed; please try again, and tell \
                       support the operation's number if it happens again.";
        Self::Failed { failure: Failure::new("internal", message), cause: Some(cause.into()) }
    }

    /// Somebody asked for it.
    pub(super) fn cancelled() -> Self {
        Self::Failed { failure: Failure::cancelled(), cause: None }
    }

    /// The storage cannot be asked now.
    pub(crate) fn storage_is_away() -> Self {
        Self::failed(STORAGE_UNREACHABLE, STORAGE_AWAY)
    }

    fn because(code: &str, message: &str, cause: impl Into<Cause>) -> Self {
        Self::Failed { failure: Failure::new(code, message), cause: Some(cause.into()) }
    }
}

impl From<EngineError> for StepError {
    fn from(error: EngineError) -> Self {
        match error.kind() {
            EngineErrorKind::NoCapacity => Self::because(
                "no_capacity",
                "The machine that was chosen for the server is full. Please try again.",
                error,
            ),
            EngineErrorKind::Transient => Self::because(
                "engine_unavailable",
                "The machine for the server does not answer. Please try again later.",
                error,
            ),
            _ => Self::internal(error),
        }
    }
}

impl From<AgentError> for StepError {
    fn from(error: AgentError) -> Self {
        if error.is_transient() {
            return Self::because(
                "agent_unreachable",
                "The server's container does not answer. Please try again.",
                error,
            );
        }
        Self::internal(error)
    }
}

impl From<ObjectError> for StepError {
    fn from(error: ObjectError) -> Self {
        if error.is_transient() {
            return Self::because(STORAGE_UNREACHABLE, STORAGE_AWAY, error);
        }
        Self::internal(error)
    }
}

impl From<ArtifactError> for StepError {
    fn from(error: ArtifactError) -> Self {
        let (code, message) = match error {
            ArtifactError::Unreachable(_) => (
                "artifact_unreachable",
                "The source of the game's files does not answer. Please try again later.",
            ),
            ArtifactError::Invalid(_) => (
                "artifact_unusable",
                "The list of the game's files cannot be read at their source. Please choose another version, or try \
                 again later.",
            ),
            _ => return Self::internal(error),
        };
        Self::because(code, message, error)
    }
}

impl From<EdgeError> for StepError {
    fn from(error: EdgeError) -> Self {
        let (code, message) = match error {
            EdgeError::NameTaken { .. } => (
                "edge_name_taken",
                "The server's address is in use outside of ZLH. Nothing of it was changed. Please try again with another \
                 address, or ask us to free this one.",
            ),
            EdgeError::QuotaReached { .. } => (
                "edge_full",
                "There is no room for another address at the moment. Nothing of yours was changed; we were told of it. \
                 Please try again later.",
            ),
            _ => (
                "edge_failed",
                "The server runs, but could not be made reachable at its address. Please try again.",
            ),
        };
        Self::because(code, message, error)
    }
}

impl From<AgentFault> for StepError {
    fn from(fault: AgentFault) -> Self {
        let mut message = fault.message;
        if let Some(last) = fault.last_output.iter().rev().find(|line| !line.trim().is_empty()) {
            message = format!("{message} Its last line was: {last}");
        }
        Self::failed(fault.code.as_str(), message)
    }
}
