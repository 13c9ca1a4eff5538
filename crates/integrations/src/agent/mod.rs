//! The control plane's side of an agent: enrolment, and calls pinned to the certificate found there.

mod client;
mod error;
mod fake;
mod fingerprint;
mod pace;
mod read_only;
mod session;
mod stream;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    agent::{
        AgentStatus, BackupStatus, BackupTask, ConsolePage, ConsoleQuery, ConsoleSize, FileChange, FileInfo,
        FileJob, FileJobSpec, FileList, FileUpload, FilesUsage, PowerAction, ServiceSpec, ServiceStats,
    },
    ids::InstanceId,
};
use uuid::Uuid;

pub use self::{
    client::AgentClient,
    error::{AgentError, AgentErrorKind},
    fake::FakeAgents,
    fingerprint::{Fingerprint, NotAFingerprint},
    pace::Pace,
    read_only::ReadOnlyAgents,
    stream::{ByteStream, FileContent, Tunnel, TunnelIo},
};

/// Headers of a file's content: ranges and preconditions one way, type, length and entity-tag the other.
pub type Headers = reqwest::header::HeaderMap;

/// Reaches the agents of all containers.
#[async_trait]
pub trait AgentApi: Send + Sync + std::fmt::Debug {
    /// Asks the agent at `addr` to prove, with the secret of its trust bundle, that the certificate of this very
    /// connection is its own, and returns the certificate's fingerprint to be pinned.
    async fn enrol(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        secret: &[u8],
    ) -> Result<Fingerprint, AgentError>;

    /// A session that talks to no certificate but this one. Does not connect yet.
    fn connect(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn AgentSession>, AgentError>;
}

/// Talks to one agent. Every call carries a fresh token of its own scope.
#[async_trait]
pub trait AgentSession: Send + Sync + std::fmt::Debug {
    /// Its status: at once without `since`; otherwise as soon as its revision is above `since`, or after `wait`
    /// (cut to [`domain::agent::MAX_STATUS_WAIT_MS`]).
    async fn status(&self, since: Option<u64>, wait: Duration) -> Result<AgentStatus, AgentError>;

    /// Sets what is installed and run. The same revision again is a no-op.
    async fn put_service(&self, spec: &ServiceSpec) -> Result<AgentStatus, AgentError>;

    /// Asks for a power action; answers at once, the status tells the rest.
    async fn power(&self, action: PowerAction) -> Result<AgentStatus, AgentError>;

    /// The last `lines` lines of output, oldest first.
    async fn console_tail(&self, lines: u32) -> Result<Vec<String>, AgentError>;

    /// Output from a sequence number on; with a wait, held open until there is some.
    async fn console_read(&self, query: ConsoleQuery) -> Result<ConsolePage, AgentError>;

    /// Types something in.
    async fn console_input(&self, text: &str) -> Result<(), AgentError>;

    /// Tells a terminal its size.
    async fn console_resize(&self, size: ConsoleSize) -> Result<(), AgentError>;

    /// What the service uses at this moment.
    async fn stats(&self) -> Result<ServiceStats, AgentError>;

    /// A page of a folder: names after `after`, at most `limit`.
    async fn file_list(
        &self,
        path: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<FileList, AgentError>;

    /// One file or folder.
    async fn file_stat(&self, path: &str) -> Result<FileInfo, AgentError>;

    /// How full the data folder is.
    async fn files_usage(&self) -> Result<FilesUsage, AgentError>;

    /// Something small, done when it returns.
    async fn file_change(&self, change: &FileChange) -> Result<(), AgentError>;

    /// Begins a job.
    async fn file_job_start(&self, spec: &FileJobSpec) -> Result<FileJob, AgentError>;

    /// Where a job stands: at its end, or after `wait`.
    async fn file_job(&self, id: Uuid, wait: Duration) -> Result<FileJob, AgentError>;

    /// Ends a job.
    async fn file_job_cancel(&self, id: Uuid) -> Result<FileJob, AgentError>;

    /// A file's content as a stream, never held whole. `headers` carries range and preconditions; the answer is 200,
    /// 206 or 304.
    async fn file_get(&self, path: &str, headers: Headers) -> Result<FileContent, AgentError>;

    /// Begins an upload in parts of a file of `size` bytes. `headers` carries preconditions.
    async fn file_upload_begin(
        &self,
        path: &str,
        size: u64,
        parents: bool,
        headers: Headers,
    ) -> Result<FileUpload, AgentError>;

    /// How far an upload in parts is.
    async fn file_upload(&self, id: Uuid) -> Result<FileUpload, AgentError>;

    /// Sends a part that begins at `offset`; with the last one the file has its name.
    async fn file_upload_write(
        &self,
        id: Uuid,
        offset: u64,
        body: ByteStream,
    ) -> Result<FileUpload, AgentError>;

    /// Gives an upload in parts up.
    async fn file_upload_cancel(&self, id: Uuid) -> Result<(), AgentError>;

    /// Replaces or makes a file from a stream, atomically; with `parents` the folders above it as well. `headers`
    /// carries preconditions and, if known, the length.
    async fn file_put(
        &self,
        path: &str,
        parents: bool,
        headers: Headers,
        body: ByteStream,
    ) -> Result<FileInfo, AgentError>;

    /// Begins a backup task, or goes on with it.
    async fn backup_put(&self, task: &BackupTask) -> Result<BackupStatus, AgentError>;

    /// The last task's status, `None` if there was none: as soon as its revision is above `since`, or after `wait`.
    async fn backup_status(
        &self,
        since: Option<u64>,
        wait: Duration,
    ) -> Result<Option<BackupStatus>, AgentError>;

    /// A connection to the workspace's own port.
    async fn tunnel(&self) -> Result<Tunnel, AgentError>;
}

/// Where the agent of a container listens: `host` is its node's, a name or an IP address. Of several addresses the
/// first counts.
pub async fn resolve(host: &str, port: u16) -> Result<SocketAddr, AgentError> {
    let unknown = |reason: String| AgentError::Unreachable(format!("{host} has no address: {reason}"));
    let addresses = tokio::net::lookup_host((host, port)).await;
    let first = addresses.map_err(|error| unknown(error.to_string()))?.next();
    first.ok_or_else(|| unknown("the resolver knows none".to_owned()))
}
