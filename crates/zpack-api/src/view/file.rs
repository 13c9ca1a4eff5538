//! Files as their owner sees them. Paths are relative to the data folder and percent-encoded where a byte is not
//! printable ASCII or is `%`.

use chrono::{DateTime, Utc};
use domain::agent::{FileInfo, FileJob, FileJobState, FileKind, FileList, FileUpload, FilesUsage};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ReasonView;

/// A file or folder.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub struct FileView {
    /// Its path, to be used as it is.
    pub path: String,
    /// Its last part, for people.
    pub name: String,
    /// `file`, `folder`, `link` (never followed) or `other`.
    #[schema(value_type = String)]
    pub kind: FileKind,
    /// Bytes; 0 for what is not a file.
    pub size_bytes: u64,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content.
    pub modified_at: DateTime<Utc>,
    /// Names this content, for `If-Match`. Only for files.
    #[schema(required)]
    pub etag: Option<String>,
    /// Where a link points.
    #[schema(required)]
    pub target: Option<String>,
}

impl From<FileInfo> for FileView {
    fn from(it: FileInfo) -> Self {
        Self {
            path: it.path,
            name: it.name,
            kind: it.kind,
            size_bytes: it.size,
            mode: it.mode,
            modified_at: DateTime::from_timestamp_millis(it.modified_ms).unwrap_or_default(),
            etag: it.etag,
            target: it.target,
        }
    }
}

/// A part of a folder, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Folder)]
pub struct FolderView {
    /// What is in it.
    pub items: Vec<FileView>,
    /// `cursor` of the next part; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl From<FileList> for FolderView {
    fn from(it: FileList) -> Self {
        Self { items: it.entries.into_iter().map(Into::into).collect(), next_cursor: it.next }
    }
}

/// An upload in parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileUpload)]
pub struct FileUploadView {
    /// Its id.
    pub id: Uuid,
    /// Where the file goes.
    pub path: String,
    /// How long the file will be.
    pub size_bytes: u64,
    /// How much of it has come: the next part begins here.
    pub offset_bytes: u64,
    /// The file, once all of it has come.
    #[schema(required)]
    pub file: Option<FileView>,
}

impl From<FileUpload> for FileUploadView {
    fn from(it: FileUpload) -> Self {
        Self {
            id: it.id,
            path: it.path,
            size_bytes: it.size,
            offset_bytes: it.offset,
            file: it.file.map(Into::into),
        }
    }
}

/// How full the data folder is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FilesUsage)]
pub struct FilesUsageView {
    /// Bytes.
    pub used_bytes: u64,
    /// The plan's bound, in bytes.
    #[schema(required)]
    pub limit_bytes: Option<u64>,
}

impl From<FilesUsage> for FilesUsageView {
    fn from(it: FilesUsage) -> Self {
        Self { used_bytes: it.used_bytes, limit_bytes: it.limit_bytes }
    }
}

/// Something with files that takes a while. Forgotten ten minutes after its end, and by a restart of the server's
/// machine.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileJob)]
pub struct FileJobView {
    /// Its id.
    pub id: Uuid,
    /// `running`, `succeeded`, `failed` or `cancelled`; what one of the last two had written is gone again.
    #[schema(value_type = String)]
    pub state: FileJobState,
    /// Bytes handled.
    pub done_bytes: u64,
    /// Entries handled.
    pub done_entry_count: u64,
    /// Entries left out, for they are neither files nor folders.
    pub skipped_entry_count: u64,
    /// Why it failed.
    #[schema(required)]
    pub error: Option<ReasonView>,
    /// What a search found, at most 1,000.
    pub found: Vec<FileView>,
    /// Whether there was more to find.
    pub truncated: bool,
}

impl From<FileJob> for FileJobView {
    fn from(it: FileJob) -> Self {
        Self {
            id: it.id,
            state: it.state,
            done_bytes: it.done_bytes,
            done_entry_count: it.done_entries,
            skipped_entry_count: it.skipped_entries,
            error: it.error.map(Into::into),
            found: it.found.into_iter().map(Into::into).collect(),
            truncated: it.truncated,
        }
    }
}
