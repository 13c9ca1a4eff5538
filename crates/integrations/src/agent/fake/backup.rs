//! A fake agent's backups: tasks that succeed at once, unless a test says how they stand.

use std::{sync::Mutex, time::Duration};

use domain::agent::{
    BackupFacts, BackupStatus, BackupTask, BackupTaskState, BackupWork, MAX_BACKUP_WAIT_MS, UploadedPart,
};
use tokio::sync::watch;

use crate::{agent::AgentError, scenario::lock};

#[derive(Debug, Default)]
pub(super) struct Backups {
    status: watch::Sender<Option<BackupStatus>>,
    tasks: Mutex<Vec<BackupTask>>,
}

impl Backups {
    pub(super) fn tasks(&self) -> Vec<BackupTask> {
        lock(&self.tasks).clone()
    }

    pub(super) fn set(&self, status: BackupStatus) {
        self.status.send_modify(|now| {
            let revision = now.as_ref().map_or(0, |now| now.revision) + 1;
            *now = Some(BackupStatus { revision, ..status });
        });
    }

    /// Takes a task; it has succeeded at once, unless a test has set how this very task stands.
    pub(super) fn begin(&self, task: &BackupTask) -> Result<BackupStatus, AgentError> {
        lock(&self.tasks).push(task.clone());
        let now = self.status.borrow().clone();
        if let Some(now) = now.filter(|now| (now.task, now.work) == (task.task, task.work.kind())) {
            return Ok(now);
        }
        self.set(succeeded(task));
        let now = self.status.borrow().clone();
        now.ok_or_else(|| AgentError::Protocol("no task".into()))
    }

    /// As soon as its revision is above `since`, or after `wait`.
    pub(super) async fn status(&self, since: Option<u64>, wait: Duration) -> Option<BackupStatus> {
        let mut changes = self.status.subscribe();
        if let Some(since) = since {
            let newer = changes.wait_for(|now| now.as_ref().is_some_and(|now| now.revision > since));
            // Over or not, the status of this moment is the answer.
            let _ = tokio::time::timeout(wait.min(Duration::from_millis(MAX_BACKUP_WAIT_MS)), newer).await;
        }
        self.status.borrow().clone()
    }
}

fn succeeded(task: &BackupTask) -> BackupStatus {
    let parts = if let BackupWork::Create { parts, .. } = &task.work { parts.len() } else { 0 };
    let facts = BackupFacts {
        archive_bytes: 1,
        archive_sha256: "a".repeat(64),
        manifest_sha256: "b".repeat(64),
        content_bytes: 1,
        files: 1,
        changed_files: 0,
    };
    BackupStatus {
        revision: 0,
        task: task.task,
        backup: task.backup,
        work: task.work.kind(),
        state: BackupTaskState::Succeeded,
        detail: "done".into(),
        percent: 100,
        uploaded: vec![UploadedPart { etag: "\"1\"".into(), bytes: 1 }; parts.min(1)],
        parts_known: u32::try_from(parts).unwrap_or(u32::MAX),
        needs_addresses: false,
        facts: (parts > 0).then_some(facts),
        fault: None,
    }
}
