//! A restore: everything is downloaded and checked before the server is stopped, and the old files are kept until the
//! server runs with the new ones.

use async_trait::async_trait;
use domain::{
    agent::{BackupWork, PowerAction},
    backup::Backup,
    instance::DesiredPower,
};
use store::backups;

use super::{
    service::{self, CALL_DEADLINE},
    task::Task,
};
use crate::saga::{
    Step, StepError, Work,
    wait::{insist, is_down},
};

/// Addresses and hashes of a backup's objects, for an agent that downloads them.
pub(super) struct Source {
    pub(super) archive: String,
    pub(super) manifest: String,
    pub(super) expect: domain::agent::BackupFacts,
}

impl Source {
    pub(super) fn of(work: &Work, backup: &Backup) -> Result<Self, StepError> {
        let facts = backup.facts.clone();
        let expires = work.services.backups.address_life.max(work.services.backups.deadline);
        Ok(Self {
            archive: work.services.objects.get_url(&backup.archive_key(), expires)?,
            manifest: work.services.objects.get_url(&backup.manifest_key(), expires)?,
            expect: facts.ok_or_else(|| StepError::internal("the backup is not complete"))?,
        })
    }
}

/// Downloads the backup, checks all of it, and lays it beside the files.
pub(super) struct Stage;

#[async_trait]
impl Step for Stage {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        let Source { archive, manifest, expect } = Source::of(work, &backup)?;
        Task::of(work, &backup).await?.run(BackupWork::Stage { archive, manifest, expect }).await?;
        Ok(())
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        Task::of(work, &backup).await?.abandon().await
    }
}

/// Stops the server, if it runs.
pub(super) struct Pause;

#[async_trait]
impl Step for Pause {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        stop_if_up(work).await
    }

    /// Starts it again. An agent that is away gets the power request later, as any other.
    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        if !may_run(work).await? {
            return Ok(());
        }
        match start(work).await {
            Err(StepError::Failed { failure, cause }) => {
                tracing::warn!(code = failure.code, cause = ?cause, "the server could not be started again after its restore was undone; it is when its agent is back");
                Ok(backups::owe_start(&work.db, &work.lease, crate::BY).await?)
            }
            outcome => outcome,
        }
    }
}

/// Exchanges the files by rename; the old ones stay beside the new ones.
pub(super) struct Swap;

#[async_trait]
impl Step for Swap {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        Task::of(work, &backup).await?.run(BackupWork::Swap).await?;
        Ok(())
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        stop_if_up(work).await?;
        Task::of(work, &backup).await?.run(BackupWork::SwapBack).await?;
        Ok(())
    }
}

/// Starts the server with the new files, if it is to run, and waits until it answers.
pub(super) struct Resume;

#[async_trait]
impl Step for Resume {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        if !may_run(work).await? {
            return Ok(());
        }
        start(work).await?;
        service::await_ready(work).await
    }

    /// Down again, so that the files can be exchanged back.
    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        stop_if_up(work).await
    }
}

/// Drops the old files and ends the operation. From here it only goes forward.
pub(super) struct MarkRestored;

#[async_trait]
impl Step for MarkRestored {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        Task::of(work, &backup).await?.run(BackupWork::Commit).await?;
        Ok(backups::restore_succeeded(&work.db, &work.lease, crate::BY).await?)
    }

    /// Never called: see [`OperationKind::recovery`](domain::operation::OperationKind::recovery).
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// Whether the server is to run, as its row says now: a hold may have been placed since the operation began.
async fn may_run(work: &Work) -> Result<bool, StepError> {
    let instance = store::instances::get_for_work(&work.db, work.id()).await?;
    Ok(instance.is_some_and(|it| it.desired_power == DesiredPower::Running && it.holds.is_empty()))
}

async fn start(work: &Work) -> Result<(), StepError> {
    let agent = work.agent().await?;
    insist(CALL_DEADLINE, || agent.power(PowerAction::Start)).await?;
    Ok(())
}

async fn stop_if_up(work: &Work) -> Result<(), StepError> {
    let agent = work.agent().await?;
    let status = insist(CALL_DEADLINE, || agent.status(None, std::time::Duration::ZERO)).await?;
    if is_down(status.state) { Ok(()) } else { service::stop(work).await }
}
