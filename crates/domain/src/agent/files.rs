//! The customer's files as the agent shows them. Paths are relative to the data folder, separated by `/`, and
//! percent-encoded where a byte is not printable ASCII or is `%`: every name that a Unix folder can hold has one spelling.

use serde::{Deserialize, Serialize};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link; never followed.
    Link,
    /// A FIFO, socket or device; can be listed and deleted, nothing else.
    Other,
}

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Its path, encoded, usable as it is.
    pub path: String,
    /// Its last component for people, with U+FFFD for what is not UTF-8.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes; 0 for what is not a file.
    pub size: u64,
    /// Permission bits (0–0o7777).
    pub mode: u32,
    /// Last change of the content, in milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// Names this content (RFC 9110 entity-tag, without quotes); changes with every write. Only for files.
    pub etag: Option<String>,
    /// Where a link points, for people.
    pub target: Option<String>,
}

/// Answer of `GET /v1/files/list`: sorted by name (bytes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// At most the query's `limit`.
    pub entries: Vec<FileInfo>,
    /// The query's `after` for the next page: a path; `None` at the end.
    pub next: Option<String>,
}

/// Answer of `GET /v1/files/usage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesUsage {
    /// Sum of the sizes, in bytes.
    pub used_bytes: u64,
    /// The plan's bound, in bytes; `None` is unbounded.
    pub limit_bytes: Option<u64>,
}

/// Answer of `/v1/files/uploads`: an upload in parts. Given up after an hour in which nothing comes, and by a restart of the
/// agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileUpload {
    /// Its id.
    pub id: uuid::Uuid,
    /// Where the file goes.
    pub path: String,
    /// How long the file will be, in bytes.
    pub size: u64,
    /// How much of it has come: the next part begins here.
    pub offset: u64,
    /// The file, once all of it has come and it has its name.
    pub file: Option<FileInfo>,
}

/// Body of `POST /v1/files/change`: something small that is done at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum FileChange {
    /// Makes a folder and those above it.
    MakeFolder {
        /// Its path.
        path: String,
    },
    /// Renames or moves; refuses to replace anything.
    Rename {
        /// What.
        from: String,
        /// Its new path.
        to: String,
    },
    /// Deletes files and whole folders. Links are deleted, not followed.
    Delete {
        /// At most 1,000 paths.
        paths: Vec<String>,
    },
    /// Sets permission bits of files and folders; links are refused.
    SetMode {
        /// What.
        path: String,
        /// 0 to 0o777: no set-id bits.
        mode: u32,
    },
}

/// Formats of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveFormat {
    /// `.zip`, deflate.
    Zip,
    /// `.tar.gz`.
    TarGz,
    /// `.tar.zst`.
    TarZst,
}

/// Body of `POST /v1/files/jobs`: something that may take minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FileJobSpec {
    /// Copies a file or a folder with all that is in it; refuses to replace anything.
    Copy {
        /// What.
        from: String,
        /// The copy's path.
        to: String,
    },
    /// Packs files and folders, named from the folder that all of them lie in. Links are left out.
    Archive {
        /// What, at most 1,000 paths.
        paths: Vec<String>,
        /// The archive's path; must not exist.
        to: String,
        /// Its format.
        format: ArchiveFormat,
    },
    /// Fetches a file from a public https address; refuses to replace anything.
    Fetch {
        /// Its address. No private one is reached, whatever it redirects to.
        url: String,
        /// The file's path; folders above it are made.
        to: String,
    },
    /// Unpacks; the format is found in the first bytes.
    Extract {
        /// The archive.
        path: String,
        /// The folder that receives the content; made when missing.
        to: String,
        /// Whether files that exist are replaced; otherwise one that exists ends the job before anything is written.
        #[serde(default)]
        replace: bool,
    },
    /// Finds names that contain a text, ignoring case.
    Search {
        /// The folder to begin in.
        path: String,
        /// 1–255 characters.
        name: String,
    },
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileJobState {
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// Not done; what it had written is gone again.
    Failed,
    /// Ended on request; what it had written is gone again.
    Cancelled,
}

/// Answer of `POST /v1/files/jobs` and `GET /v1/files/jobs?id=`. Forgotten ten minutes after its end, and by a restart
/// of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileJob {
    /// Its id.
    pub id: uuid::Uuid,
    /// Where it stands.
    pub state: FileJobState,
    /// Bytes handled.
    pub done_bytes: u64,
    /// Entries handled.
    pub done_entries: u64,
    /// Entries left out: FIFOs, sockets and devices; links as well where an archive is made.
    #[serde(default)]
    pub skipped_entries: u64,
    /// Why it failed.
    pub error: Option<super::AgentProblem>,
    /// What a search found, at most 1,000.
    pub found: Vec<FileInfo>,
    /// Whether there was more to find.
    pub truncated: bool,
}
