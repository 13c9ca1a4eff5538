//! The sweep over backups that no operation works on: removes, finds again, cleans up, and begins verifications.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    backup::{Backup, BackupState},
    ids::BackupId,
};
use integrations::Clock;
use store::{Db, StoreError, backups};
use tokio_util::sync::CancellationToken;

use super::{is_there, remove_objects, settle};
use crate::saga::{Outside, StepError};

/// Backups read together.
const PAGE: i64 = 100;

/// Most backups of one look.
const LIMIT: usize = 1_000;

/// How long one backup may take.
const EACH: Duration = Duration::from_mins(1);

/// What the sweep needs.
#[derive(Clone)]
pub struct Sweep {
    /// The database.
    pub db: Db,
    /// Everything else.
    pub outside: Outside,
    /// The time of day.
    pub clock: Clock,
    /// Pause between two looks.
    pub pause: Duration,
    /// After which time the newest backup of a server is verified again; `None` for never.
    pub verify_every: Option<TimeDelta>,
}

/// Sweeps until the shutdown.
pub async fn sweep(sweep: Sweep, mut beat: impl FnMut(), shutdown: CancellationToken) {
    loop {
        beat();
        if shutdown.run_until_cancelled(sweep.look(&mut beat)).await.is_none()
            || shutdown.run_until_cancelled(tokio::time::sleep(sweep.pause)).await.is_none()
        {
            return;
        }
    }
}

impl Sweep {
    /// Looks once.
    pub async fn look(&self, beat: &mut impl FnMut()) {
        if let Err(error) = self.settle_all(beat).await {
            tracing::warn!(error = ?error, "backups could not be looked at; the next look follows");
        }
        if let Err(error) = self.verify_one().await {
            tracing::warn!(error = ?error, "no verification could be begun; the next look follows");
        }
    }

    async fn settle_all(&self, beat: &mut impl FnMut()) -> Result<(), StoreError> {
        let (mut after, mut seen): (Option<BackupId>, usize) = (None, 0);
        while seen < LIMIT {
            let page = backups::unreconciled(&self.db, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            if seen == 0 && !self.storage_is_there().await {
                return Ok(());
            }
            after = Some(last.id);
            seen += page.len();
            for backup in &page {
                beat();
                let (id, state) = (backup.id, backup.state);
                match tokio::time::timeout(EACH, self.settle_one(backup)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(backup = %id, %state, error = ?error, "a backup waits for the next sweep");
                    }
                    Err(_) => {
                        tracing::warn!(backup = %id, %state, "a backup took too long; the next sweep goes on");
                    }
                }
            }
        }
        Ok(())
    }

    /// Nothing is removed, or given up, for its absence from a storage that is not there itself.
    async fn storage_is_there(&self) -> bool {
        match tokio::time::timeout(EACH, is_there(&self.db, &self.outside.objects, None)).await {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => {
                tracing::error!(
                    "the storage has none of the newest backups: is its disk mounted, its bucket the right one? \
                     Nothing is cleaned up until it has"
                );
            }
            Ok(Err(error)) => tracing::warn!(error = ?error, "the storage does not answer"),
            Err(_) => tracing::warn!("the storage does not answer in time"),
        }
        false
    }

    async fn settle_one(&self, backup: &Backup) -> Result<(), StepError> {
        if backup.state == BackupState::Deleting {
            remove_objects(&self.outside, backup).await?;
            return Ok(backups::mark_removed(&self.db, backup.id).await?);
        }
        // Nobody uploads any more once every address has expired; an agent that is gone is not waited for longer.
        settle(&self.db, &self.outside, backup.id, self.is_old(backup.finished_at)).await.map(drop)
    }

    fn is_old(&self, ended: Option<DateTime<Utc>>) -> bool {
        let life = TimeDelta::from_std(self.outside.backups.address_life).unwrap_or(TimeDelta::MAX);
        ended.is_some_and(|ended| (self.clock)() - ended > life)
    }

    /// The next sweep of operations rings for it.
    async fn verify_one(&self) -> Result<(), StoreError> {
        let Some(every) = self.verify_every else { return Ok(()) };
        if let Some(operation) = backups::begin_due_verification(&self.db, every, (self.clock)()).await? {
            tracing::info!(%operation, "a backup is verified");
        }
        Ok(())
    }
}
