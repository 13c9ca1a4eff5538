//! A backup as the owner of its instance sees it.

use chrono::{DateTime, Utc};
use domain::backup::{Backup, BackupOrigin, BackupState};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{OperationView, ReasonView, schema};

/// A copy of a server's files.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backup)]
pub struct BackupView {
    /// Its id.
    pub id: Uuid,
    /// Of which server.
    pub instance_id: Uuid,
    /// What the customer calls it.
    pub name: String,
    /// Where it stands. Only an `available` one can be restored, verified and downloaded.
    #[schema(schema_with = schema::backup_state)]
    pub state: BackupState,
    /// Kept: neither deleted nor made room with.
    pub locked: bool,
    /// Who asked for it.
    #[schema(schema_with = schema::backup_origin)]
    pub origin: BackupOrigin,
    /// What was left out: patterns as in a `.gitignore`.
    pub ignore: Vec<String>,
    /// Length of its archive in bytes, once it is complete.
    #[schema(required)]
    pub archive_bytes: Option<u64>,
    /// SHA-256 of the archive, hex.
    #[schema(required)]
    pub archive_sha256: Option<String>,
    /// Sum of its files' sizes in bytes.
    #[schema(required)]
    pub content_bytes: Option<u64>,
    /// Its regular files.
    #[schema(required)]
    pub file_count: Option<u64>,
    /// Files that changed while they were read: each may be a mixture of old and new.
    #[schema(required)]
    pub changed_file_count: Option<u64>,
    /// When all of it was last read again and found to be good.
    #[schema(required)]
    pub verified_at: Option<DateTime<Utc>>,
    /// Why the last verification failed: such a backup is damaged.
    #[schema(required)]
    pub verify_failure: Option<ReasonView>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was complete, or given up.
    #[schema(required)]
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<Backup> for BackupView {
    fn from(it: Backup) -> Self {
        let facts = it.facts.as_ref();
        Self {
            archive_bytes: facts.map(|facts| facts.archive_bytes),
            archive_sha256: facts.map(|facts| facts.archive_sha256.clone()),
            content_bytes: facts.map(|facts| facts.content_bytes),
            file_count: facts.map(|facts| facts.files),
            changed_file_count: facts.map(|facts| facts.changed_files),
            id: it.id.0,
            instance_id: it.instance_id.0,
            name: it.name,
            state: it.state,
            locked: it.locked,
            origin: it.origin,
            ignore: it.ignore,
            verified_at: it.verified_at,
            verify_failure: it.verify_failure.map(Into::into),
            created_at: it.created_at,
            finished_at: it.finished_at,
        }
    }
}

/// A backup and the operation that works on it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackupAccepted)]
pub struct BackupAcceptedView {
    /// As it is now; null once it is gone.
    #[schema(required)]
    pub backup: Option<BackupView>,
    /// To be polled at its `Location`, or watched on the event stream.
    pub operation: OperationView,
}
