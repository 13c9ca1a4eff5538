//! `[objects]`: where backups lie.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use domain::objects::{ObjectStorage, S3Bucket};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// Shortest signing key, in characters.
const MIN_KEY: usize = 32;

/// The object storage; zpack-api and provision-worker use the same one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectsSection {
    /// A folder of this machine, or S3.
    pub kind: ObjectsKind,
    /// The folder.
    pub folder: PathBuf,
    /// Where agents reach the folder.
    pub base_url: String,
    /// Where zpack-api serves the folder to agents.
    pub listen: SocketAddr,
    /// Signs the folder's addresses.
    #[serde(skip_serializing)]
    pub key: SecretString,
    /// Address of the S3 service.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whose credentials.
    pub access_key_id: String,
    /// The credentials.
    #[serde(skip_serializing)]
    pub secret_access_key: SecretString,
    /// Whether the bucket is in the path rather than in the host's name.
    pub path_style: bool,
}

/// What kind of storage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectsKind {
    /// A folder that zpack-api serves.
    Folder,
    /// A service that speaks S3.
    S3,
}

impl Default for ObjectsSection {
    fn default() -> Self {
        Self {
            kind: ObjectsKind::Folder,
            folder: PathBuf::from("/var/lib/zlh/backups"),
            base_url: "http://127.0.0.1:8091".to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8091)),
            key: SecretString::default(),
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            bucket: String::new(),
            access_key_id: String::new(),
            secret_access_key: SecretString::default(),
            path_style: true,
        }
    }
}

impl ObjectsSection {
    /// The storage that it says.
    pub fn storage(&self) -> ObjectStorage {
        match self.kind {
            ObjectsKind::Folder => ObjectStorage::Folder {
                path: self.folder.clone(),
                base_url: self.base_url.clone(),
                key: self.key.clone(),
            },
            ObjectsKind::S3 => ObjectStorage::S3 {
                bucket: S3Bucket {
                    endpoint: self.endpoint.clone(),
                    region: self.region.clone(),
                    bucket: self.bucket.clone(),
                    access_key_id: self.access_key_id.clone(),
                    path_style: self.path_style,
                },
                secret_access_key: self.secret_access_key.clone(),
            },
        }
    }
}

impl Section for ObjectsSection {
    fn name(&self) -> &'static str {
        "objects"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        match self.kind {
            ObjectsKind::Folder => {
                Invalid::unless_http_address("base_url", &self.base_url)?;
                if self.key.expose_secret().len() < MIN_KEY {
                    let reason = "required, at least 32 characters: set objects.key_file or the credential objects.key";
                    return Err(Invalid::new("key", reason));
                }
                Ok(())
            }
            ObjectsKind::S3 => {
                Invalid::unless_http_address("endpoint", &self.endpoint)?;
                given("bucket", &self.bucket)?;
                given("access_key_id", &self.access_key_id)?;
                given("secret_access_key", self.secret_access_key.expose_secret())
            }
        }
    }
}

fn given(key: &'static str, value: &str) -> Result<(), Invalid> {
    if value.is_empty() { Err(Invalid::new(key, "required when kind is \"s3\"")) } else { Ok(()) }
}

const KEYS: &[Key] = &[
    Key::new(
        "kind",
        Kind::Choice(&["folder", "s3"]),
        "Where backups lie: a folder that zpack-api serves, or S3.",
    ),
    Key::new(
        "folder",
        Kind::Path,
        "The folder, when `kind` is `folder`; shared by zpack-api and provision-worker.",
    ),
    Key::new("base_url", Kind::Text, "Address (http or https) under which agents reach `listen`."),
    Key::new(
        "listen",
        Kind::Address,
        "Where zpack-api serves the folder; only signed addresses are answered.",
    ),
    Key::new(
        "key",
        Kind::Secret,
        "At least 32 random characters with which the folder's addresses are signed; the same for both daemons. Required when `kind` is `folder`.",
    ),
    Key::new("endpoint", Kind::Text, "Address (http or https) of the S3 service."),
    Key::new("region", Kind::Text, "Its region."),
    Key::new("bucket", Kind::Text, "Its bucket, which must be there."),
    Key::new("access_key_id", Kind::Text, "Names the credentials for it."),
    Key::new("secret_access_key", Kind::Secret, "The credentials. Agents never see them."),
    Key::new(
        "path_style",
        Kind::Boolean,
        "Whether the bucket is in the address's path rather than in its host name.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_needs_a_key_and_s3_needs_credentials() {
        let folder = ObjectsSection { key: "k".repeat(32).into(), ..ObjectsSection::default() };
        assert_eq!(folder.validate(), Ok(()));
        assert_eq!(ObjectsSection::default().validate().unwrap_err().key, "key");
        let s3 = ObjectsSection {
            kind: ObjectsKind::S3,
            endpoint: "https://s3.example.org".into(),
            bucket: "b".into(),
            access_key_id: "a".into(),
            ..ObjectsSection::default()
        };
        assert_eq!(s3.validate().unwrap_err().key, "secret_access_key");
        assert_eq!(ObjectsSection { secret_access_key: "s".into(), ..s3 }.validate(), Ok(()));
    }
}
