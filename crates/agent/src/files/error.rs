//! Why something with a customer's files was not done: for the customer in words, for programs as a stable code.

use std::io;

use domain::agent::{FilePath, PathError};
use rustix::io::Errno;

/// A reason, and what it is about.
#[derive(Debug)]
pub struct FileError {
    /// What happened.
    pub why: Why,
    path: Option<String>,
}

/// What happened. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Not a path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The customer's folder itself cannot be replaced, moved, deleted.
    #[error("the server's folder itself cannot be changed so")]
    Root,
    /// Nothing has this name.
    #[error("there is no such file or folder")]
    NotFound,
    /// Something has this name.
    #[error("there is something of this name already; nothing was replaced")]
    AlreadyExists,
    /// A folder where a file is needed.
    #[error("this is a folder")]
    IsFolder,
    /// Something else where a folder is needed.
    #[error("this, or something above it, is not a folder")]
    NotAFolder,
    /// A link on the way or at its end.
    #[error("this, or something above it, is a link; links are not followed")]
    IsLink,
    /// A FIFO, socket or device.
    #[error("this is neither a file nor a folder")]
    Special,
    /// A file with several names, which may lie anywhere.
    #[error(
        "this file has several names (hard links); its permissions can be changed only from inside the server"
    )]
    HardLinked,
    /// The plan's disk space does not suffice.
    #[error("the disk space of the server's plan does not suffice; nothing was written")]
    QuotaExceeded,
    /// The machine's disk has no room.
    #[error("there is no space left on the disk; nothing was written")]
    DiskFull,
    /// `If-Match` or `If-None-Match`.
    #[error("the file has been changed or made meanwhile; nothing was written")]
    PreconditionFailed,
    /// A restore.
    #[error("the server's files were replaced by a backup meanwhile; nothing was written")]
    Restored,
    /// `Range` asks for what is not there.
    #[error("the file has only {0} bytes")]
    RangeNotSatisfiable(u64),
    /// The system's own permissions.
    #[error("the system does not permit this")]
    NotPermitted,
    /// An upload broke off.
    #[error("the upload broke off; nothing was written")]
    Interrupted,
    /// An upload stood still.
    #[error("the upload stood still for too long; nothing was written")]
    StoodStill,
    /// Enough is under way.
    #[error("too much is under way already; try again later")]
    TooMany,
    /// No such upload.
    #[error("there is no such upload: it is whole, or was given up because nothing came for an hour")]
    NoUpload,
    /// A part of an upload that does not follow the one before.
    #[error("{0} bytes have come, and the next part begins there; nothing was written")]
    WrongOffset(u64),
    /// No such job.
    #[error("there is no such job, or it ended more than ten minutes ago")]
    NoJob,
    /// An archive cannot be read.
    #[error("the archive is damaged: {0}")]
    ArchiveDamaged(String),
    /// An archive contains what is not unpacked.
    #[error("the archive was refused: {0}")]
    ArchiveRefused(String),
    /// A request that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Ended on request.
    #[error("ended on request")]
    Cancelled,
    /// Anything else.
    #[error("reading or writing failed: {0}")]
    Io(io::Error),
}

/// What may go wrong here.
pub type Result<T> = std::result::Result<T, FileError>;

impl FileError {
    /// The same, about this path.
    #[must_use]
    pub fn at(mut self, path: &FilePath) -> Self {
        self.path.get_or_insert_with(|| path.to_string());
        self
    }

    /// Stable code and HTTP status.
    pub fn class(&self) -> (&'static str, u16) {
        match &self.why {
            Why::Path(error) => (error.code(), 422),
            Why::Root => ("root_refused", 422),
            Why::NotFound => ("file_not_found", 404),
            Why::AlreadyExists => ("already_exists", 409),
            Why::IsFolder => ("is_folder", 409),
            Why::NotAFolder => ("not_a_folder", 409),
            Why::IsLink => ("is_link", 409),
            Why::Special => ("not_a_file", 409),
            Why::HardLinked => ("hard_linked", 409),
            Why::QuotaExceeded => ("quota_exceeded", 507),
            Why::DiskFull => ("disk_full", 507),
            Why::PreconditionFailed => ("precondition_failed", 412),
            Why::Restored => ("files_restored", 409),
            Why::RangeNotSatisfiable(_) => ("range_not_satisfiable", 416),
            Why::NotPermitted => ("not_permitted", 409),
            Why::Interrupted => ("upload_interrupted", 400),
            Why::StoodStill => ("upload_stood_still", 408),
            Why::TooMany => ("too_many_at_once", 429),
            Why::NoUpload => ("upload_not_found", 404),
            Why::WrongOffset(_) => ("upload_offset_mismatch", 409),
            Why::NoJob => ("job_not_found", 404),
            Why::ArchiveDamaged(_) => ("archive_damaged", 422),
            Why::ArchiveRefused(_) => ("archive_refused", 422),
            Why::Invalid(_) => ("request_invalid", 422),
            Why::Cancelled => ("cancelled", 409),
            Why::Io(_) => ("io_failed", 500),
        }
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {}", self.why),
            None => self.why.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

impl From<Why> for FileError {
    fn from(why: Why) -> Self {
        Self { why, path: None }
    }
}

impl From<PathError> for FileError {
    fn from(error: PathError) -> Self {
        Why::Path(error).into()
    }
}

impl From<Errno> for FileError {
    fn from(errno: Errno) -> Self {
        let why = match errno {
            Errno::NOENT => Why::NotFound,
            Errno::EXIST | Errno::NOTEMPTY => Why::AlreadyExists,
            Errno::ISDIR => Why::IsFolder,
            Errno::NOTDIR => Why::NotAFolder,
            Errno::LOOP => Why::IsLink,
            Errno::NXIO => Why::Special,
            Errno::NOSPC | Errno::DQUOT => Why::DiskFull,
            // EXDEV is also what the kernel says of a path that would leave the folder (openat2(2), RESOLVE_BENEATH).
            Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::XDEV => Why::NotPermitted,
            Errno::NAMETOOLONG => Why::Path(PathError::TooLong),
            errno => Why::Io(errno.into()),
        };
        why.into()
    }
}

impl From<io::Error> for FileError {
    /// An error of ours that went through somebody else's reader or writer comes out as it was.
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => match Errno::from_io_error(&error) {
                Some(errno) => errno.into(),
                None => Why::Io(error).into(),
            },
        }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::other(error)
    }
}
