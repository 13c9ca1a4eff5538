//! A restore: everything is downloaded and checked before the server is stopped, and the old files are kept until the
//! server runs with the new ones.

use async_trait::async_trait;
use domain::{agent::BackupWork, backup::Backup};
use store::backups;

use super::{power, task::Task};
use crate::saga::{Step, StepError, Work};

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
        power::stop_if_up(work).await?;
        Task::of(work, &backup).await?.run(BackupWork::SwapBack).await?;
        Ok(())
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
