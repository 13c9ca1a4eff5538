//! Agents that only remember: what was installed, what was asked, and scenarios.

mod arrange;
mod backup;
mod console;
mod files;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    agent::{
        AgentFault, AgentState, AgentStatus, BackupStatus, BackupTask, ConsolePage, ConsoleQuery,
        ConsoleSize, FaultCode, FileChange, FileInfo, FileJob, FileJobSpec, FileList, FileUpload, FilesUsage,
        MAX_STATUS_WAIT_MS, PowerAction, ServiceSpec, ServiceStats,
    },
    ids::InstanceId,
};
use tokio::{net::TcpStream, sync::watch};
use uuid::Uuid;

use self::{backup::Backups, console::Console, files::Files};
use super::{AgentApi, AgentError, AgentSession, ByteStream, FileContent, Fingerprint, Headers, Tunnel};
use crate::scenario::{Scenario, lock};

/// A recording fake of all agents. A service is installed at once and, once started, ready at once, unless
/// [`FakeAgents::fail_install`] or [`FakeAgents::crash_at_start`] says otherwise.
#[derive(Debug, Default)]
pub struct FakeAgents {
    /// What goes wrong, and what was called.
    pub scenario: Arc<Scenario>,
    agents: Mutex<BTreeMap<InstanceId, Arc<FakeAgent>>>,
    install_fault: Mutex<Option<AgentFault>>,
    start_fault: Mutex<Option<AgentFault>>,
}

#[derive(Debug)]
struct FakeAgent {
    instance: InstanceId,
    scenario: Arc<Scenario>,
    install_fault: Option<AgentFault>,
    start_fault: Option<AgentFault>,
    service: Mutex<Option<ServiceSpec>>,
    status: watch::Sender<AgentStatus>,
    console: Console,
    files: Files,
    backups: Backups,
    tunnel: Mutex<Option<SocketAddr>>,
}

impl FakeAgents {
    /// Installations of agents not yet seen fail with this code.
    pub fn fail_install(&self, code: FaultCode, message: &str) {
        *lock(&self.install_fault) = Some(fault(code, message));
    }

    /// Services of agents not yet seen crash when they are started.
    pub fn crash_at_start(&self, message: &str) {
        *lock(&self.start_fault) = Some(fault(FaultCode::CrashedAtStart, message));
    }

    /// What is installed on an instance's agent.
    pub fn service(&self, instance: InstanceId) -> Option<ServiceSpec> {
        lock(&self.agents).get(&instance).and_then(|agent| lock(&agent.service).clone())
    }

    /// An instance's status.
    pub fn status(&self, instance: InstanceId) -> Option<AgentStatus> {
        lock(&self.agents).get(&instance).map(|agent| agent.status.borrow().clone())
    }

    /// Puts an agent into a state, as if it had come there by itself.
    pub fn set_state(&self, instance: InstanceId, state: AgentState) {
        self.agent(instance).change(|status| status.state = state);
    }

    fn agent(&self, instance: InstanceId) -> Arc<FakeAgent> {
        let make = || {
            Arc::new(FakeAgent {
                instance,
                scenario: self.scenario.clone(),
                install_fault: lock(&self.install_fault).clone(),
                start_fault: lock(&self.start_fault).clone(),
                service: Mutex::default(),
                status: watch::Sender::new(idle()),
                console: Console::default(),
                files: Files::default(),
                backups: Backups::default(),
                tunnel: Mutex::default(),
            })
        };
        lock(&self.agents).entry(instance).or_insert_with(make).clone()
    }
}

impl FakeAgent {
    fn change(&self, change: impl FnOnce(&mut AgentStatus)) -> AgentStatus {
        self.status.send_modify(|status| {
            change(status);
            status.revision += 1;
        });
        self.status.borrow().clone()
    }

    fn fail(&self, state: AgentState, fault: &AgentFault) -> AgentStatus {
        self.change(|status| {
            status.state = state;
            status.error = Some(fault.clone());
        })
    }

    fn install(&self, spec: &ServiceSpec) -> AgentStatus {
        *lock(&self.service) = Some(spec.clone());
        if let Some(fault) = &self.install_fault {
            return self.fail(AgentState::Error, fault);
        }
        self.change(|status| {
            status.state = AgentState::Stopped;
            status.installed_revision = Some(spec.revision.clone());
            status.error = None;
        })
    }

    fn switch(&self, action: PowerAction) -> Result<AgentStatus, AgentError> {
        let starts = matches!(action, PowerAction::Start | PowerAction::Restart);
        if starts && self.status.borrow().installed_revision.is_none() {
            return Err(AgentError::Conflict {
                code: "not_installed".into(),
                detail: "nothing is installed".into(),
            });
        }
        match &self.start_fault {
            Some(fault) if starts => Ok(self.fail(AgentState::Crashed, fault)),
            _ => Ok(self.change(|status| {
                status.state = if starts { AgentState::Running } else { AgentState::Stopped };
                status.error = None;
            })),
        }
    }
}

fn fault(code: FaultCode, message: &str) -> AgentFault {
    AgentFault { code, message: message.to_owned(), last_output: Vec::new() }
}

fn idle() -> AgentStatus {
    AgentStatus {
        revision: 1,
        state: AgentState::Idle,
        installed_revision: None,
        error: None,
        install_step: None,
        progress: None,
        crash_count: 0,
        pid: None,
        ready_at: None,
    }
}

fn injected() -> AgentError {
    AgentError::Unreachable("the scenario says so".into())
}

#[async_trait]
impl AgentApi for FakeAgents {
    async fn enrol(&self, _: SocketAddr, instance: InstanceId, _: &[u8]) -> Result<Fingerprint, AgentError> {
        let work = || {
            self.agent(instance);
            Ok(Fingerprint::of(instance.to_string().as_bytes()))
        };
        self.scenario.play("enrol", instance, injected, work).await
    }

    fn connect(
        &self,
        _: SocketAddr,
        instance: InstanceId,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn AgentSession>, AgentError> {
        if *fingerprint != Fingerprint::of(instance.to_string().as_bytes()) {
            return Err(AgentError::WrongCertificate("not the fake's".into()));
        }
        Ok(self.agent(instance))
    }
}

#[async_trait]
impl AgentSession for FakeAgent {
    async fn status(&self, since: Option<u64>, wait: Duration) -> Result<AgentStatus, AgentError> {
        self.scenario.play("status", self.instance, injected, || Ok(())).await?;
        let mut changes = self.status.subscribe();
        if let Some(since) = since {
            let newer = changes.wait_for(|status| status.revision > since);
            // Over or not, the status of this moment is the answer.
            let _ = tokio::time::timeout(wait.min(Duration::from_millis(MAX_STATUS_WAIT_MS)), newer).await;
        }
        Ok(self.status.borrow().clone())
    }

    async fn put_service(&self, spec: &ServiceSpec) -> Result<AgentStatus, AgentError> {
        self.scenario.play("put_service", self.instance, injected, || Ok(self.install(spec))).await
    }

    async fn power(&self, action: PowerAction) -> Result<AgentStatus, AgentError> {
        self.scenario.play("power", self.instance, injected, || self.switch(action)).await
    }

    async fn console_tail(&self, _lines: u32) -> Result<Vec<String>, AgentError> {
        self.scenario.play("console_tail", self.instance, injected, || Ok(Vec::new())).await
    }

    async fn console_read(&self, query: ConsoleQuery) -> Result<ConsolePage, AgentError> {
        self.scenario.play("console_read", self.instance, injected, || Ok(())).await?;
        Ok(self.console.read(query).await)
    }

    async fn console_input(&self, text: &str) -> Result<(), AgentError> {
        let work = || {
            // What was never installed types along: most tests of consoles need no more of a server.
            if matches!(self.status.borrow().state, AgentState::Stopped | AgentState::Crashed) {
                let detail = "the server does not run".into();
                return Err(AgentError::Conflict { code: "not_running".into(), detail });
            }
            lock(&self.console.typed).push(text.to_owned());
            Ok(())
        };
        self.scenario.play("console_input", self.instance, injected, work).await
    }

    async fn console_resize(&self, size: ConsoleSize) -> Result<(), AgentError> {
        let work = || {
            lock(&self.console.sizes).push(size);
            Ok(())
        };
        self.scenario.play("console_resize", self.instance, injected, work).await
    }

    async fn stats(&self) -> Result<ServiceStats, AgentError> {
        let work = || Ok(lock(&self.console.stats).clone());
        self.scenario.play("stats", self.instance, injected, work).await
    }

    async fn file_list(
        &self,
        path: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<FileList, AgentError> {
        let work = || self.files.list(path, after, limit);
        self.scenario.play("file_list", self.instance, injected, work).await
    }

    async fn file_stat(&self, path: &str) -> Result<FileInfo, AgentError> {
        self.scenario.play("file_stat", self.instance, injected, || self.files.stat(path)).await
    }

    async fn files_usage(&self) -> Result<FilesUsage, AgentError> {
        self.scenario.play("files_usage", self.instance, injected, || self.files.usage()).await
    }

    async fn file_change(&self, change: &FileChange) -> Result<(), AgentError> {
        self.scenario.play("file_change", self.instance, injected, || self.files.change(change)).await
    }

    async fn file_job_start(&self, spec: &FileJobSpec) -> Result<FileJob, AgentError> {
        self.scenario.play("file_job_start", self.instance, injected, || self.files.start(spec)).await
    }

    async fn file_job(&self, id: Uuid, _: Duration) -> Result<FileJob, AgentError> {
        self.scenario.play("file_job", self.instance, injected, || self.files.job(id)).await
    }

    async fn file_job_cancel(&self, id: Uuid) -> Result<FileJob, AgentError> {
        self.scenario.play("file_job_cancel", self.instance, injected, || self.files.cancel(id)).await
    }

    async fn file_get(&self, path: &str, headers: Headers) -> Result<FileContent, AgentError> {
        let work = || self.files.get(path, &headers);
        self.scenario.play("file_get", self.instance, injected, work).await
    }

    async fn file_upload_begin(
        &self,
        path: &str,
        size: u64,
        _: bool,
        _: Headers,
    ) -> Result<FileUpload, AgentError> {
        let work = || self.files.begin_upload(path, size);
        self.scenario.play("file_upload_begin", self.instance, injected, work).await
    }

    async fn file_upload(&self, id: Uuid) -> Result<FileUpload, AgentError> {
        let work = || self.files.upload(id);
        self.scenario.play("file_upload", self.instance, injected, work).await
    }

    async fn file_upload_write(
        &self,
        id: Uuid,
        offset: u64,
        body: ByteStream,
    ) -> Result<FileUpload, AgentError> {
        self.scenario.play("file_upload_write", self.instance, injected, || Ok(())).await?;
        self.files.write_upload(id, offset, body).await
    }

    async fn file_upload_cancel(&self, id: Uuid) -> Result<(), AgentError> {
        let work = || self.files.cancel_upload(id);
        self.scenario.play("file_upload_cancel", self.instance, injected, work).await
    }

    async fn file_put(
        &self,
        path: &str,
        _: bool,
        headers: Headers,
        body: ByteStream,
    ) -> Result<FileInfo, AgentError> {
        self.scenario.play("file_put", self.instance, injected, || Ok(())).await?;
        self.files.put(path, &headers, body).await
    }

    async fn backup_put(&self, task: &BackupTask) -> Result<BackupStatus, AgentError> {
        self.scenario.play("backup_put", self.instance, injected, || self.backups.begin(task)).await
    }

    async fn backup_status(
        &self,
        since: Option<u64>,
        wait: Duration,
    ) -> Result<Option<BackupStatus>, AgentError> {
        self.scenario.play("backup_status", self.instance, injected, || Ok(())).await?;
        Ok(self.backups.status(since, wait).await)
    }

    async fn tunnel(&self) -> Result<Tunnel, AgentError> {
        let work = || Ok(*lock(&self.tunnel));
        let to = self.scenario.play("tunnel", self.instance, injected, work).await?;
        let refused = || AgentError::Conflict { code: "no_tunnel".into(), detail: "there is no port".into() };
        let stream = TcpStream::connect(to.ok_or_else(refused)?).await;
        Ok(Box::new(stream.map_err(|error| AgentError::Unreachable(error.to_string()))?))
    }
}
