//! Backups between worker and agent. The agent holds no storage credential: it uploads to and downloads from addresses
//! that were signed for one object and some hours.

use serde::{Deserialize, Serialize};

use super::AgentFault;
use crate::ids::BackupId;

/// Size of every part of an upload but the last, in bytes. S3 allows 10,000 parts, so an archive may have 640 GB.
pub const BACKUP_PART_BYTES: u64 = 64 * 1024 * 1024;

/// Longest that `GET /v1/backup` may be held open, in milliseconds.
pub const MAX_BACKUP_WAIT_MS: u64 = 20_000;

/// Body of `PUT /v1/backup`: begins a task, or goes on with it; the same id again is a no-op but for `parts`, which are
/// added. One task at a time.
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
        /// Signed addresses (PUT) of the archive's parts, the first part's first. More may follow while it runs.
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
    /// Swaps the staged folder in by rename; the service must be down. The old one stays beside it.
    Swap,
    /// Swaps back, if it was swapped, and drops the staged folder.
    SwapBack,
    /// Drops the old folder: the restore has succeeded.
    Settle,
    /// Downloads, unpacks into a scratch folder, compares with the manifest, drops it.
    Verify {
        /// As for `Stage`.
        archive: String,
        /// As for `Stage`.
        manifest: String,
        /// As for `Stage`.
        expect: BackupFacts,
    },
    /// Ends a task and removes what it has left (hooks undone, scratch and staging dropped unless swapped).
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
    pub settled: Option<String>,
    /// Longest wait for it, in seconds; then the copy is made all the same, and the manifest says so.
    #[serde(default)]
    pub settle_seconds: u64,
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
    /// Where it stands.
    pub state: BackupTaskState,
    /// For people, for example `uploading (1.2 GiB)`.
    pub detail: String,
    /// 0–100, as far as it can be known.
    pub percent: u8,
    /// Parts uploaded so far: what the storage answered, in order. For `Create`.
    pub uploaded: Vec<UploadedPart>,
    /// How many parts' addresses it has been given. The worker keeps it ahead of `uploaded`.
    pub parts_known: u32,
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
