//! Why a call to an agent failed, and what a caller may conclude from it.

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentErrorKind {
    /// Not there, or not answering: try again, within the step's deadline.
    Unreachable,
    /// It does not accept our token.
    Refused,
    /// Not possible in its present state.
    Conflict,
    /// What was asked for cannot be: no such file, a precondition that does not hold, no space.
    Rejected,
    /// Somebody else answers at its address. Never talk to it.
    WrongCertificate,
    /// It speaks something else, or there is a fault of ours.
    Protocol,
    /// A dry run.
    ReadOnly,
}

/// An agent client's error.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No connection, no answer in time, broken off, or a 5xx.
    #[error("the agent does not answer: {0}")]
    Unreachable(String),
    /// 401 or 403.
    #[error("the agent refused the call ({status} {code}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The agent's stable code, for example `token_expired`.
        code: String,
        /// For a log.
        detail: String,
    },
    /// 409.
    #[error("the agent cannot do this now ({code}): {detail}")]
    Conflict {
        /// The agent's stable code.
        code: String,
        /// For a log.
        detail: String,
    },
    /// Another 4xx with the agent's reason, or 507.
    #[error("the agent rejected the call ({status} {code}): {detail}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The agent's stable code.
        code: String,
        /// What is wrong, without anything that only we may know.
        detail: String,
    },
    /// The certificate is not the pinned one, or its enrolment proof does not hold.
    #[error("another certificate than the agent's answers at its address: {0}")]
    WrongCertificate(String),
    /// An answer that is not of the agreed shape.
    #[error("the agent's answer makes no sense: {0}")]
    Protocol(String),
    /// Refused in a dry run.
    #[error("{0} was refused: this client is read-only")]
    ReadOnly(&'static str),
}

impl AgentError {
    /// What a caller does about it.
    pub fn kind(&self) -> AgentErrorKind {
        match self {
            Self::Unreachable(_) => AgentErrorKind::Unreachable,
            Self::Refused { .. } => AgentErrorKind::Refused,
            Self::Conflict { .. } => AgentErrorKind::Conflict,
            Self::Rejected { .. } => AgentErrorKind::Rejected,
            Self::WrongCertificate(_) => AgentErrorKind::WrongCertificate,
            Self::Protocol(_) => AgentErrorKind::Protocol,
            Self::ReadOnly(_) => AgentErrorKind::ReadOnly,
        }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        self.kind() == AgentErrorKind::Unreachable
    }
}
