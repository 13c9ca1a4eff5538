//! What tests set up in fake agents, and what they ask of them afterwards.

use std::net::SocketAddr;

use domain::{
    agent::{BackupStatus, BackupTask, ConsoleMode, ConsoleSize, ServiceStats},
    ids::InstanceId,
};
use tokio_util::bytes::Bytes;

use super::FakeAgents;
use crate::scenario::lock;

impl FakeAgents {
    /// Lets an instance's service print.
    pub fn print(&self, instance: InstanceId, texts: impl IntoIterator<Item = String>) {
        self.agent(instance).console.print(texts);
    }

    /// Lets an instance's console forget what is older than this number.
    pub fn forget_output(&self, instance: InstanceId, below: u64) {
        self.agent(instance).console.forget(below);
    }

    /// Sets how an instance's console is connected.
    pub fn set_console_mode(&self, instance: InstanceId, mode: ConsoleMode) {
        self.agent(instance).console.set_mode(mode);
    }

    /// What was typed in, oldest first.
    pub fn typed(&self, instance: InstanceId) -> Vec<String> {
        lock(&self.agent(instance).console.typed).clone()
    }

    /// The sizes that a terminal was told.
    pub fn sizes(&self, instance: InstanceId) -> Vec<ConsoleSize> {
        lock(&self.agent(instance).console.sizes).clone()
    }

    /// Sets what an instance's service uses.
    pub fn set_stats(&self, instance: InstanceId, stats: ServiceStats) {
        *lock(&self.agent(instance).console.stats) = stats;
    }

    /// Puts a file into an instance's folder.
    pub fn write_file(&self, instance: InstanceId, path: &str, content: impl Into<Bytes>) {
        self.agent(instance).files.write(path, content.into());
    }

    /// A file of an instance's folder.
    pub fn read_file(&self, instance: InstanceId, path: &str) -> Option<Bytes> {
        self.agent(instance).files.read(path)
    }

    /// Lets every call about files be refused with this status, code and detail; `None` ends it.
    pub fn refuse_files(&self, instance: InstanceId, refusal: Option<(u16, &str, &str)>) {
        let refusal = refusal.map(|(status, code, detail)| (status, code.to_owned(), detail.to_owned()));
        *lock(&self.agent(instance).files.refusal) = refusal;
    }

    /// Whether jobs stay under way; ending that ends those that are.
    pub fn slow_file_jobs(&self, instance: InstanceId, slow: bool) {
        let agent = self.agent(instance);
        *lock(&agent.files.slow_jobs) = slow;
        if !slow {
            agent.files.finish_jobs();
        }
    }

    /// The backup tasks that an agent was given, oldest first.
    pub fn backup_tasks(&self, instance: InstanceId) -> Vec<BackupTask> {
        self.agent(instance).backups.tasks()
    }

    /// Sets an agent's backup status, as if it had come there by itself. Its revision is counted here.
    pub fn set_backup(&self, instance: InstanceId, status: BackupStatus) {
        self.agent(instance).backups.set(status);
    }

    /// Where an instance's tunnels lead.
    pub fn tunnel_to(&self, instance: InstanceId, to: SocketAddr) {
        *lock(&self.agent(instance).tunnel) = Some(to);
    }
}
