//! A verification: the agent downloads a backup into a scratch folder and compares it with its manifest.

use async_trait::async_trait;
use domain::agent::BackupWork;
use store::backups;

use super::{restore::Source, task::Task};
use crate::saga::{Step, StepError, Work};

/// Reads the backup again.
pub(super) struct Check;

#[async_trait]
impl Step for Check {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        let Source { archive, manifest, expect } = Source::of(work, &backup)?;
        Task::of(work, &backup).await?.run(BackupWork::Verify { archive, manifest, expect }).await?;
        Ok(())
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        Task::of(work, &backup).await?.abandon().await
    }
}

/// Records that it is good.
pub(super) struct MarkVerified;

#[async_trait]
impl Step for MarkVerified {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(backups::verify_succeeded(&work.db, &work.lease, crate::BY).await?)
    }

    /// Had the transaction been committed, there would be no operation left to undo.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}
