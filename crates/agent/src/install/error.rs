//! Why an installation failed, in words for a customer.

use std::io;

use domain::agent::FaultCode;

use super::files::PathRefused;
use crate::process::runtime::RuntimeMissing;

/// A failed installation. Nothing under its own name is half written, and trying again is safe.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The source answers that it has no such file.
    #[error("The file {file} is not available at its source any more.")]
    Missing {
        /// Its name.
        file: String,
    },
    /// The source does not answer, breaks off or fails.
    #[error("The file {file} could not be downloaded: {reason}.")]
    Unreachable {
        /// Its name.
        file: String,
        /// In a few words.
        reason: String,
    },
    /// What came is not what was promised.
    #[error("The file {file} arrived damaged: {reason}. It was thrown away.")]
    Corrupt {
        /// Its name.
        file: String,
        /// In a few words.
        reason: String,
    },
    /// A path leads out of the customer's folder.
    #[error("The installation was refused: {0}.")]
    Path(#[from] PathRefused),
    /// An archive contains what may not be unpacked.
    #[error("The archive {file} was refused: {reason}.")]
    Archive {
        /// Its name.
        file: String,
        /// In a few words.
        reason: String,
    },
    /// No room left.
    #[error("There is no space left on the server's disk.")]
    DiskFull,
    /// A file cannot be read or written.
    #[error("The file {file} could not be written.")]
    Files {
        /// Which.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// Java or another program is not there.
    #[error(transparent)]
    Runtime(#[from] RuntimeMissing),
    /// A program of the installation failed.
    #[error("The installation step {program} failed: {reason}.")]
    Program {
        /// Its name.
        program: String,
        /// In a few words.
        reason: String,
    },
}

impl InstallError {
    /// The stable code of the fault.
    pub fn code(&self) -> FaultCode {
        match self {
            Self::Missing { .. } => FaultCode::ArtifactMissing,
            Self::Unreachable { .. } => FaultCode::ArtifactUnreachable,
            Self::Corrupt { .. } => FaultCode::ArtifactCorrupt,
            Self::Runtime(_) => FaultCode::RuntimeMissing,
            Self::DiskFull => FaultCode::DiskFull,
            Self::Path(_) | Self::Archive { .. } | Self::Files { .. } | Self::Program { .. } => {
                FaultCode::InstallFailed
            }
        }
    }

    /// An error at `file` in the customer's folder.
    pub fn at(file: &str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ if leads_out(&error) => Self::Path(PathRefused::new(file)),
            _ => Self::Files { file: file.to_owned(), source: error },
        }
    }
}

/// cap-std's own refusal: permission denied, but not by the kernel.
fn leads_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}
