//! Why something failed, was skipped or is forbidden: one shape, wherever a resource has a reason.

use domain::{
    agent::{AgentFault, AgentProblem},
    instance::Hold,
    operation::Failure,
    schedule::RunReason,
};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a resource is as it is.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Reason)]
pub struct ReasonView {
    /// Stable, for programs.
    pub code: String,
    /// For people: what happened, what was not lost, what to do.
    pub message: String,
}

impl From<Failure> for ReasonView {
    fn from(it: Failure) -> Self {
        Self { code: it.code, message: it.message }
    }
}

impl From<AgentProblem> for ReasonView {
    fn from(it: AgentProblem) -> Self {
        Self { code: it.code, message: it.detail }
    }
}

impl From<&AgentFault> for ReasonView {
    fn from(it: &AgentFault) -> Self {
        Self { code: it.code.to_string(), message: it.message.clone() }
    }
}

impl From<(RunReason, String)> for ReasonView {
    fn from((code, message): (RunReason, String)) -> Self {
        Self { code: code.to_string(), message }
    }
}

impl From<&Hold> for ReasonView {
    fn from(it: &Hold) -> Self {
        Self { code: it.reason.to_string(), message: it.note.clone() }
    }
}
