//! Why the object storage did not do something.

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// No answer, broken off, or a 5xx: may pass by itself.
    #[error("the backup storage does not answer: {0}")]
    Unreachable(String),
    /// It answered, and refused: credentials, bucket, quota.
    #[error("the backup storage refused: {0}")]
    Refused(String),
    /// An answer that cannot be used.
    #[error("the backup storage's answer makes no sense: {0}")]
    Invalid(String),
    /// The parts are not those that were uploaded, or are gone.
    #[error("the upload cannot be completed: {0}")]
    Incomplete(String),
    /// More than the caller wants to hold.
    #[error("the object is longer than {0} bytes")]
    TooLong(usize),
    /// A range that the object does not have.
    #[error("the object has only {0} bytes")]
    Range(u64),
    /// A key that could mean something else to a file system or in an address.
    #[error("{0:?} cannot be the key of an object")]
    BadKey(String),
    /// Refused in a dry run.
    #[error("{0} was refused: this storage is read-only")]
    ReadOnly(&'static str),
}

impl ObjectError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}
