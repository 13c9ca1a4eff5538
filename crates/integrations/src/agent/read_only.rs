//! Agents that can be looked at and not told anything.

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

use super::{AgentApi, AgentError, AgentSession, ByteStream, FileContent, Fingerprint, Headers, Tunnel};

/// Passes looks on (enrolment is one: it changes nothing at the agent) and refuses everything else.
#[derive(Clone, Debug)]
pub struct ReadOnlyAgents(pub Arc<dyn AgentApi>);

#[derive(Debug)]
struct ReadOnlySession(Arc<dyn AgentSession>);

#[async_trait]
impl AgentApi for ReadOnlyAgents {
    async fn enrol(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        secret: &[u8],
    ) -> Result<Fingerprint, AgentError> {
        self.0.enrol(addr, instance, secret).await
    }

    fn connect(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn AgentSession>, AgentError> {
        Ok(Arc::new(ReadOnlySession(self.0.connect(addr, instance, fingerprint)?)))
    }
}

#[async_trait]
impl AgentSession for ReadOnlySession {
    async fn status(&self, since: Option<u64>, wait: Duration) -> Result<AgentStatus, AgentError> {
        self.0.status(since, wait).await
    }

    async fn put_service(&self, _: &ServiceSpec) -> Result<AgentStatus, AgentError> {
        Err(AgentError::ReadOnly("put_service"))
    }

    async fn power(&self, _: PowerAction) -> Result<AgentStatus, AgentError> {
        Err(AgentError::ReadOnly("power"))
    }

    async fn console_tail(&self, lines: u32) -> Result<Vec<String>, AgentError> {
        self.0.console_tail(lines).await
    }

    async fn console_read(&self, query: ConsoleQuery) -> Result<ConsolePage, AgentError> {
        self.0.console_read(query).await
    }

    async fn console_input(&self, _: &str) -> Result<(), AgentError> {
        Err(AgentError::ReadOnly("console_input"))
    }

    async fn console_resize(&self, _: ConsoleSize) -> Result<(), AgentError> {
        Err(AgentError::ReadOnly("console_resize"))
    }

    async fn stats(&self) -> Result<ServiceStats, AgentError> {
        self.0.stats().await
    }

    async fn file_list(
        &self,
        path: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<FileList, AgentError> {
        self.0.file_list(path, after, limit).await
    }

    async fn file_stat(&self, path: &str) -> Result<FileInfo, AgentError> {
        self.0.file_stat(path).await
    }

    async fn files_usage(&self) -> Result<FilesUsage, AgentError> {
        self.0.files_usage().await
    }

    async fn file_change(&self, _: &FileChange) -> Result<(), AgentError> {
        Err(AgentError::ReadOnly("file_change"))
    }

    async fn file_job_start(&self, _: &FileJobSpec) -> Result<FileJob, AgentError> {
        Err(AgentError::ReadOnly("file_job_start"))
    }

    async fn file_job(&self, id: Uuid, wait: Duration) -> Result<FileJob, AgentError> {
        self.0.file_job(id, wait).await
    }

    async fn file_job_cancel(&self, _: Uuid) -> Result<FileJob, AgentError> {
        Err(AgentError::ReadOnly("file_job_cancel"))
    }

    async fn file_get(&self, path: &str, headers: Headers) -> Result<FileContent, AgentError> {
        self.0.file_get(path, headers).await
    }

    async fn file_upload_begin(
        &self,
        _: &str,
        _: u64,
        _: bool,
        _: Headers,
    ) -> Result<FileUpload, AgentError> {
        Err(AgentError::ReadOnly("file_upload_begin"))
    }

    async fn file_upload(&self, id: Uuid) -> Result<FileUpload, AgentError> {
        self.0.file_upload(id).await
    }

    async fn file_upload_write(&self, _: Uuid, _: u64, _: ByteStream) -> Result<FileUpload, AgentError> {
        Err(AgentError::ReadOnly("file_upload_write"))
    }

    async fn file_upload_cancel(&self, _: Uuid) -> Result<(), AgentError> {
        Err(AgentError::ReadOnly("file_upload_cancel"))
    }

    async fn file_put(&self, _: &str, _: bool, _: Headers, _: ByteStream) -> Result<FileInfo, AgentError> {
        Err(AgentError::ReadOnly("file_put"))
    }

    async fn backup_put(&self, _: &BackupTask) -> Result<BackupStatus, AgentError> {
        Err(AgentError::ReadOnly("backup_put"))
    }

    async fn backup_status(
        &self,
        since: Option<u64>,
        wait: Duration,
    ) -> Result<Option<BackupStatus>, AgentError> {
        self.0.backup_status(since, wait).await
    }

    async fn tunnel(&self) -> Result<Tunnel, AgentError> {
        // What goes through it may change anything.
        Err(AgentError::ReadOnly("tunnel"))
    }
}
