//! Where the object storage of backups is: what configuration says of it, and what opens it.

use std::path::PathBuf;

use secrecy::SecretString;

/// The object storage of an installation; zpack-api and provision-worker use the same one.
#[derive(Clone, Debug)]
pub enum ObjectStorage {
    /// A folder of this machine, which zpack-api serves to agents.
    Folder {
        /// The folder; made when it is missing.
        path: PathBuf,
        /// Where agents reach it: `http://…` or `https://…`.
        base_url: String,
        /// Signs its addresses.
        key: SecretString,
    },
    /// A bucket of a service that speaks S3.
    S3 {
        /// Which.
        bucket: S3Bucket,
        /// The credentials.
        secret_access_key: SecretString,
    },
}

/// A bucket and how it is reached.
#[derive(Clone, Debug)]
pub struct S3Bucket {
    /// Address of the service: `http://…` or `https://…`.
    pub endpoint: String,
    /// Its region, for signatures.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// Names the credentials.
    pub access_key_id: String,
    /// Whether the bucket is in the path rather than in the host's name.
    pub path_style: bool,
}
