//! Backups between worker and agent. The agent holds no storage credential: it uploads to and downloads from addresses
//! that were signed for one object and some hours.

use serde::{Deserialize, Serialize};

use super::AgentFault;
use crate::ids::{BackupId, InstanceId};

/// Size of every part of an upload but the last, in bytes. S3 allows 10,000 parts, so an archive may have 640 GB.
pub const BACKUP_PART_BYTES: u64 = 64 * 1024 * 1024;

/// Most parts of an upload (Amazon S3, "Multipart upload limits").
pub const MAX_BACKUP_PARTS: u32 = 10_000;

/// Longest that `GET /v1/backup` may be held open, in milliseconds.
pub const MAX_BACKUP_WAIT_MS: u64 = 20_000;

/// Key of a backup's archive in the object storage.
pub fn archive_key(instance: InstanceId, backup: BackupId) -> String {
    format!("{instance}/{backup}/archive.tar.zst")
}

/// Key of a backup's manifest. It is written last: where it is, the archive is complete.
pub fn manifest_key(instance: InstanceId, backup: BackupId) -> String {
    format!("{instance}/{backup}/manifest.json.zst")
}

/// Whose object this key names, if it is one of a backup's two.
pub fn owner_of_key(key: &str) -> Option<(InstanceId, BackupId)> {
    let mut parts = key.split('/');
    let (instance, backup) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let ours = key == archive_key(instance, backup) || key == manifest_key(instance, backup);
    ours.then_some((instance, backup))
}

/// Body of `PUT /v1/backup`: begins a piece of work, or goes on with it. The same task and kind of work again is a no-op
/// but for the addresses of `Create`, which replace those known, and but for work that has failed, which begins anew.
/// One task at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupTask {
    /// The operation it is part of: names the task.
    pub task: uuid::Uuid,
    /// Which backup.
    pub backup: BackupId,
    /// What is to be done.
    pub work: BackupWork,
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BackupWork {
    /// Packs the data folder and uploads it, then its manifest.
    Create {
        /// Gitignore-style patterns, relative to the data folder.
        ignore: Vec<String>,
        /// What makes the copy consistent.
        hooks: BackupHooks,
        /// Size of every part but the last, in bytes; [`BACKUP_PART_BYTES`], except in tests.
        part_bytes: u64,
        /// Number of the first of `parts`, counted from 1.
        first_part: u32,
        /// Signed addresses (PUT) of the archive's parts from `first_part` on. More may follow while it runs.
        parts: Vec<String>,
        /// Signed address (PUT) of the manifest.
        manifest: String,
    },
    /// Downloads, verifies everything, and lays it beside the data folder as `staging`; nothing else is touched.
    Stage {
        /// Signed address (GET) of the archive.
        archive: String,
        /// Signed address (GET) of the manifest.
        manifest: String,
        /// What both must be.
        expect: BackupFacts,
    },
    /// Swaps the staged folder in by rename; the service must be down (409 `service_running`). The old one stays beside it.
    Swap,
    /// Swaps back, if it was swapped, and drops the staged folder. The service must be down if it was swapped.
    SwapBack,
    /// Drops the old folder: the restore has succeeded.
    Commit,
    /// Downloads, unpacks into a scratch folder, compares with the manifest, drops it.
    Verify {
        /// As for `Stage`.
        archive: String,
        /// As for `Stage`.
        manifest: String,
        /// As for `Stage`.
        expect: BackupFacts,
    },
    /// Ends a task and removes what it has left: hooks undone, scratch and staging dropped. A folder that was swapped in
    /// is left alone (409 `backup_swapped`): only `SwapBack` and `Commit` end that. A no-op for a task unknown to the agent.
    Abort,
}

impl BackupWork {
    /// What kind of work it is.
    pub fn kind(&self) -> BackupWorkKind {
        match self {
            Self::Create { .. } => BackupWorkKind::Create,
            Self::Stage { .. } => BackupWorkKind::Stage,
            Self::Swap => BackupWorkKind::Swap,
            Self::SwapBack => BackupWorkKind::SwapBack,
            Self::Commit => BackupWorkKind::Commit,
            Self::Verify { .. } => BackupWorkKind::Verify,
            Self::Abort => BackupWorkKind::Abort,
        }
    }
}

/// [`BackupWork`] without what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupWorkKind {
    /// Packing and uploading.
    Create,
    /// Downloading and verifying beside the data folder.
    Stage,
    /// Swapping the staged folder in.
    Swap,
    /// Swapping back.
    SwapBack,
    /// Dropping the old folder.
    Commit,
    /// Downloading and comparing.
    Verify,
    /// Ending a task.
    Abort,
}

/// Console lines around the copying, sent only to a running service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupHooks {
    /// Before the first file is read, for example `save-off` and `save-all flush`.
    #[serde(default)]
    pub before: Vec<String>,
    /// Regular expression of the output that says that `before` took effect; without one nothing is waited for.
    #[serde(default)]
    pub flushed: Option<String>,
    /// Longest wait for it, in seconds; then the copy is made all the same, and the manifest says so.
    #[serde(default)]
    pub flush_seconds: u64,
    /// After the last file was read, and after every failure, for example `save-on`.
    #[serde(default)]
    pub after: Vec<String>,
}

/// What is known of a complete backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// Length of the archive in bytes.
    pub archive_bytes: u64,
    /// SHA-256 of the archive, hex.
    pub archive_sha256: String,
    /// SHA-256 of the manifest as stored, hex.
    pub manifest_sha256: String,
    /// Sum of the files' sizes, in bytes.
    pub content_bytes: u64,
    /// Regular files.
    pub files: u64,
    /// Files that changed while they were read.
    pub changed_files: u64,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupTaskState {
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// Not done; nothing of the data folder was changed.
    Failed,
}

/// Answer of `PUT /v1/backup` and `GET /v1/backup`. Kept on the agent's disk until the next task, so that a worker
/// that was away learns how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    /// Increases with every change, for `?since=`.
    pub revision: u64,
    /// Which task.
    pub task: uuid::Uuid,
    /// Which backup.
    pub backup: BackupId,
    /// The latest work of the task: a restore's is first `stage`, then `swap`, then `commit`.
    pub work: BackupWorkKind,
    /// Where that work stands.
    pub state: BackupTaskState,
    /// For people, for example `uploading (1.2 GiB)`.
    #[serde(deserialize_with = "crate::text::read")]
    pub detail: String,
    /// 0–100, as far as it can be known.
    pub percent: u8,
    /// Parts uploaded so far: what the storage answered, in order. For `Create`.
    pub uploaded: Vec<UploadedPart>,
    /// How many parts' addresses it has, counted from the first part. The worker keeps it ahead of `uploaded`; it
    /// goes back when the storage says that addresses have expired.
    pub parts_known: u32,
    /// It cannot go on without new addresses: of the parts after `parts_known`, and of the manifest.
    pub needs_addresses: bool,
    /// What was made. For `Create`, once it succeeded.
    pub facts: Option<BackupFacts>,
    /// Why it failed.
    pub fault: Option<AgentFault>,
}

/// A part that the storage has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedPart {
    /// The storage's `ETag`, as it came.
    pub etag: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// `format` of a [`BackupManifestHead`].
pub const BACKUP_FORMAT: &str = "zlh-backup";

/// The version of archives and manifests that is written.
pub const BACKUP_VERSION: u32 = 1;

/// What a manifest begins with. The manifest is one JSON object: these members, and then `entries`, an array in the
/// archive's order. It is stored as two Zstandard frames, the first of which ends with `"entries":[`, so that the head
/// can be read alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifestHead {
    /// [`BACKUP_FORMAT`].
    pub format: String,
    /// [`BACKUP_VERSION`].
    pub version: u32,
    /// Which backup.
    pub backup: BackupId,
    /// When it was made, RFC 3339.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// How sure it is that the files belong together.
    pub consistency: BackupConsistency,
    /// Length of the archive in bytes.
    pub archive_bytes: u64,
    /// SHA-256 of the archive, hex.
    pub archive_sha256: String,
    /// Sum of the files' sizes, in bytes.
    pub content_bytes: u64,
    /// Regular files.
    pub files: u64,
    /// Files that changed while they were read.
    pub changed_files: u64,
    /// Things that are in the manifest and not in the archive: sockets, devices, files that could not be read.
    pub skipped: u64,
}

impl BackupManifestHead {
    /// The facts, given the hash of the manifest as stored.
    pub fn facts(&self, manifest_sha256: String) -> BackupFacts {
        BackupFacts {
            archive_bytes: self.archive_bytes,
            archive_sha256: self.archive_sha256.clone(),
            manifest_sha256,
            content_bytes: self.content_bytes,
            files: self.files,
            changed_files: self.changed_files,
        }
    }
}

/// How sure it is that a backup's files belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupConsistency {
    /// The service was down.
    Down,
    /// The service ran, and said that its files are flushed.
    Flushed,
    /// The service was starting or stopping, or it was asked and did not say in time that its files are flushed.
    Unflushed,
    /// The service ran, and there is nothing to ask it.
    Running,
}
