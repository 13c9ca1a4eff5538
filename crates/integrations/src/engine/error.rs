//! Why an engine could not do something, and what a caller may conclude from it.

use domain::ids::{InstanceId, NodeId};

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// May pass by itself: try again, within the step's deadline.
    Transient,
    /// There is no room: another node, or a clear answer to the customer.
    NoCapacity,
    /// Something is there that does not carry our mark: never touch it.
    NotOurs,
    /// The engine's machine lacks a program.
    ProgramMissing,
    /// There is no such container.
    NotFound,
    /// A dry run.
    ReadOnly,
    /// Our fault, or a broken machine: trying again does not help.
    Permanent,
}

/// An engine's error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine did not answer, or is busy with the same container.
    #[error("the engine could not {action} just now: {reason}")]
    Transient {
        /// What was attempted.
        action: &'static str,
        /// What was seen.
        reason: String,
    },
    /// Full.
    #[error("the engine has no room left: {0}")]
    NoCapacity(String),
    /// Something else is in the place of the container.
    #[error("what is in the place of container {0} does not carry its mark")]
    NotOurs(InstanceId),
    /// Not installed, or not executable.
    #[error("the program {0} is missing on the engine's machine")]
    ProgramMissing(String),
    /// Never made, or deleted.
    #[error("there is no container {0}")]
    NotFound(InstanceId),
    /// No engine of this process runs the node's containers.
    #[error("no engine is configured here for node {0}")]
    NoEngine(NodeId),
    /// Refused in a dry run.
    #[error("{0} was refused: this engine is read-only")]
    ReadOnly(&'static str),
    /// The container's agent ended right after its start.
    #[error("the agent of container {instance} did not start: {reason}")]
    AgentFailed {
        /// Whose.
        instance: InstanceId,
        /// Exit status and last lines of its log.
        reason: String,
    },
    /// A file or process operation failed.
    #[error("could not {action}")]
    Io {
        /// What was attempted.
        action: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl EngineError {
    /// What a caller does about it.
    pub fn kind(&self) -> EngineErrorKind {
        use std::io::ErrorKind as Io;
        match self {
            Self::Transient { .. } | Self::NoEngine(_) => EngineErrorKind::Transient,
            Self::NoCapacity(_) => EngineErrorKind::NoCapacity,
            Self::NotOurs(_) => EngineErrorKind::NotOurs,
            Self::ProgramMissing(_) => EngineErrorKind::ProgramMissing,
            Self::NotFound(_) => EngineErrorKind::NotFound,
            Self::ReadOnly(_) => EngineErrorKind::ReadOnly,
            Self::AgentFailed { .. } => EngineErrorKind::Permanent,
            Self::Io { source, .. } => match source.kind() {
                Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory => EngineErrorKind::NoCapacity,
                Io::Interrupted | Io::WouldBlock | Io::TimedOut | Io::ResourceBusy => {
                    EngineErrorKind::Transient
                }
                _ => EngineErrorKind::Permanent,
            },
        }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        self.kind() == EngineErrorKind::Transient
    }
}
