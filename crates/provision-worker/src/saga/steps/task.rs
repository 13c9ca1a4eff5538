//! A piece of an agent's work on a backup: begun, watched until it ends, told to people.

use std::{sync::Arc, time::Duration};

use domain::{
    agent::{BackupStatus, BackupTask, BackupTaskState, BackupWork, BackupWorkKind},
    backup::{Backup, CORRUPT_CODE},
    ids::OperationId,
};
use integrations::agent::{AgentSession, Pace};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::service::CALL_DEADLINE;
use crate::{
    backups,
    saga::{
        StepError, Work,
        wait::{EVERY, insist},
    },
};

/// How long one long poll is held open.
const POLL: Duration = Duration::from_secs(5);

/// How long an agent may be silent. It may be restarting; what it worked on has failed then, and it will say so.
const SILENCE: Duration = Duration::from_mins(2);

/// Pause before an agent that did not answer is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// Work of one task. The task is named by the operation.
pub(super) struct Task<'a> {
    pub(super) work: &'a Work,
    pub(super) agent: Arc<dyn AgentSession>,
    pub(super) backup: &'a Backup,
    end: Instant,
    pace: Mutex<Pace>,
    progress: Mutex<Progress>,
}

/// How far the work has come, as far as it can be counted. An agent that only says that it works is not believed for long;
/// one that counts on without doing anything is ended by the deadline, which is ours.
struct Progress {
    percent: u8,
    uploaded: usize,
    signed: u32,
    /// When it is given up unless it gets further.
    until: Instant,
    stall: Duration,
}

impl Progress {
    fn new(stall: Duration) -> Self {
        Self { percent: 0, uploaded: 0, signed: 0, until: Instant::now() + stall, stall }
    }

    fn note(&mut self, status: &BackupStatus) {
        let percent = status.percent.min(100);
        let further = percent > self.percent
            || status.uploaded.len() > self.uploaded
            || status.parts_known > self.signed;
        if further {
            self.percent = self.percent.max(percent);
            self.uploaded = self.uploaded.max(status.uploaded.len());
            self.signed = self.signed.max(status.parts_known);
            self.until = Instant::now() + self.stall;
        }
    }
}

impl<'a> Task<'a> {
    pub(super) async fn of(work: &'a Work, backup: &'a Backup) -> Result<Self, StepError> {
        let (limits, disk_mib) = (&work.services.backups, work.instance.resources.disk_mib);
        let end = Instant::now() + limits.longest(disk_mib);
        let progress = Mutex::new(Progress::new(limits.longest_stall(disk_mib)));
        let pace = Mutex::new(Pace::new(EVERY));
        Ok(Self { work, agent: work.agent().await?, backup, end, pace, progress })
    }

    /// What the agent works at, or did last, if it is of this task. No operation but this one is under way on the server:
    /// whatever else the agent still speaks of is over, and reconciled or ended here, before it is forgotten.
    async fn own(&self) -> Result<Option<BackupStatus>, StepError> {
        let status = insist(CALL_DEADLINE, || self.agent.backup_status(None, Duration::ZERO)).await?;
        let Some(former) = status.as_ref().filter(|status| !self.is_mine(status)) else { return Ok(status) };
        if former.work == BackupWorkKind::Create {
            backups::reconcile_former(&self.work.db, &self.work.services, OperationId(former.task)).await?;
        }
        if former.state == BackupTaskState::Running {
            tracing::warn!(former = %former.task, work = ?former.work, "the agent still works at the {:?} of an operation that is over; it is told to stop", former.work);
            let abort = BackupTask { task: former.task, backup: self.backup.id, work: BackupWork::Abort };
            insist(CALL_DEADLINE, || self.agent.backup_put(&abort)).await?;
        }
        Ok(None)
    }

    /// What the agent knows of this task's work; `None` if it is of another kind, or another's. Then it can be begun.
    pub(super) async fn known(&self, kind: BackupWorkKind) -> Result<Option<BackupStatus>, StepError> {
        Ok(self.own().await?.filter(|status| status.work == kind))
    }

    /// Begins a piece of work, or goes on with it.
    pub(super) async fn put(&self, work: BackupWork) -> Result<BackupStatus, StepError> {
        let task = BackupTask { task: self.work.lease.operation.0, backup: self.backup.id, work };
        Ok(insist(CALL_DEADLINE, || self.agent.backup_put(&task)).await?)
    }

    /// Does a piece of work to its end. A backup that is not in storage, as no other is, is not damaged.
    pub(super) async fn run(&self, work: BackupWork) -> Result<BackupStatus, StepError> {
        match self.run_to_end(work).await {
            Err(StepError::Failed { failure, .. })
                if failure.code == CORRUPT_CODE
                    && !backups::is_there(
                        &self.work.db,
                        &self.work.services.objects,
                        Some(self.backup.id),
                    )
                    .await? =>
            {
                tracing::error!(
                    "the storage has none of the newest backups: is its disk mounted, its bucket the right one?"
                );
                Err(StepError::storage_is_away())
            }
            outcome => outcome,
        }
    }

    async fn run_to_end(&self, work: BackupWork) -> Result<BackupStatus, StepError> {
        let kind = work.kind();
        self.own().await?;
        let mut status = self.put(work).await?;
        while !is_over(&status, kind)? {
            self.tell(&status).await?;
            status = self.next(&status).await?;
        }
        Ok(status)
    }

    /// The status after this one.
    pub(super) async fn next(&self, seen: &BackupStatus) -> Result<BackupStatus, StepError> {
        self.progress.lock().await.note(seen);
        self.pace.lock().await.next().await;
        let mut silent_until = Instant::now() + SILENCE;
        loop {
            let now = Instant::now();
            if now >= self.end {
                return Err(StepError::failed(
                    "backup_too_slow",
                    "It took too long. Your files were not changed.",
                ));
            }
            if now >= self.progress.lock().await.until {
                return Err(StepError::failed(
                    "backup_stalled",
                    "The server got no further with it for minutes, so it was given up. Your files were not changed; \
                     please try again.",
                ));
            }
            match self.agent.backup_status(Some(seen.revision), POLL).await {
                Ok(Some(status)) if self.is_mine(&status) && status.revision == seen.revision => {
                    silent_until = now + SILENCE;
                    // Nothing new to tell; but there may be something to hear.
                    self.tell(&status).await?;
                }
                Ok(Some(status)) if self.is_mine(&status) => return Ok(status),
                Ok(_) => return Err(StepError::internal("the agent has forgotten its work on the backup")),
                Err(error) if error.is_transient() && now < silent_until => sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) async fn tell(&self, status: &BackupStatus) -> Result<(), StepError> {
        self.work.report(&format!("{} ({} %)", status.detail, status.percent)).await
    }

    /// For undoing: ends the task. What the agent cannot be told now it is told [before its next task](Self::own).
    pub(super) async fn abandon(&self) -> Result<(), StepError> {
        match self.put(BackupWork::Abort).await {
            Err(StepError::Failed { failure, cause }) => {
                tracing::warn!(code = failure.code, cause = ?cause, "the agent could not be told that its work is over; it is before its next backup");
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    fn is_mine(&self, status: &BackupStatus) -> bool {
        status.task == self.work.lease.operation.0
    }
}

/// Whether work of this kind has succeeded; its fault if it has failed.
pub(super) fn is_over(status: &BackupStatus, kind: BackupWorkKind) -> Result<bool, StepError> {
    if status.work != kind {
        return Err(StepError::internal(format!("the agent does {:?}, not {kind:?}", status.work)));
    }
    match status.state {
        BackupTaskState::Running => Ok(false),
        BackupTaskState::Succeeded => Ok(true),
        BackupTaskState::Failed => Err(match &status.fault {
            Some(fault) => fault.clone().into(),
            None => StepError::internal("the agent failed and does not say why"),
        }),
    }
}
