//! Why work on a backup failed, in words for a customer, and why it was not begun.

use std::io;

use domain::agent::{AgentFault, FaultCode};

/// Failed work. Nothing of the data folder was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The storage does not answer, or refuses.
    #[error(
        "The backup storage could not be used: {0}. Your files were not changed; please try again later."
    )]
    Storage(String),
    /// What came is not what was stored.
    #[error("The backup is damaged: {0}. It was not used, and your files were not changed.")]
    Corrupt(String),
    /// No room left.
    #[error(
        "There is not enough space left on the server's disk. Your files were not changed; free some space and try again."
    )]
    DiskFull,
    /// More than the server may store.
    #[error(
        "The backup has {needed} of files, and the server may store {limit}. Your files were not changed; choose a larger plan or another backup."
    )]
    AbovePlan {
        /// How much, for people.
        needed: String,
        /// The plan's disk space, for people.
        limit: String,
    },
    /// A file cannot be read or written.
    #[error("The file {file} could not be used: {source}. Your files were not changed.")]
    Files {
        /// Which.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The agent ended in between.
    #[error(
        "It was interrupted by a restart of the server's agent. Your files were not changed; please try again."
    )]
    Interrupted,
    /// Somebody ended it.
    #[error("It was cancelled. Your files were not changed.")]
    Aborted,
    /// The pattern for "flushed" or an ignore pattern makes no sense.
    #[error("{0}. Your files were not changed.")]
    Invalid(String),
}

impl BackupError {
    /// An error at `file`.
    pub fn at(file: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Files { file: file.into(), source },
        }
    }

    /// As the control plane hears of it.
    pub fn fault(&self) -> AgentFault {
        let code = match self {
            Self::Storage(_) => FaultCode::StorageUnreachable,
            Self::Corrupt(_) => FaultCode::BackupCorrupt,
            Self::DiskFull | Self::AbovePlan { .. } => FaultCode::DiskFull,
            Self::Files { .. } | Self::Interrupted | Self::Aborted | Self::Invalid(_) => {
                FaultCode::BackupFailed
            }
        };
        AgentFault { code, message: self.to_string(), last_output: Vec::new() }
    }
}

/// Why work was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupRefusal {
    /// One at a time.
    #[error("other work on a backup is under way")]
    Busy,
    /// A restore is half done; only `swap_back` and `commit` of its task end that.
    #[error("a restore has swapped the files and was not committed")]
    Swapped,
    /// Files are not exchanged below a running server.
    #[error("the server runs; stop it first")]
    ServiceRunning,
    /// There is nothing to swap in.
    #[error("nothing is staged for this task")]
    NotStaged,
    /// What was asked makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Not done: it would be forgotten at the next boot.
    #[error("the agent's state could not be written")]
    NotSaved,
    /// A folder could not be renamed; everything is as it was.
    #[error("the folders could not be exchanged: {0}")]
    NotExchanged(String),
}

impl BackupRefusal {
    /// Stable code for the error body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy => "backup_busy",
            Self::Swapped => "backup_swapped",
            Self::ServiceRunning => "service_running",
            Self::NotStaged => "not_staged",
            Self::Invalid(_) => "backup_invalid",
            Self::NotSaved => "state_not_saved",
            Self::NotExchanged(_) => "not_exchanged",
        }
    }
}
