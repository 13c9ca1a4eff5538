//! The sweep over backups that no operation works on: removes, finds again, cleans up, and begins verifications.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    backup::{Backup, BackupState},
    clock::Clock,
    ids::{BackupId, OperationId},
};
use integrations::chain;
use runtime::{daemon::Context, periodic::Periodic};
use store::{Db, StoreError, backups, queue::Notifier};

use super::{compare, is_there, reconcile, remove_objects};
use crate::saga::{Services, StepError};

/// Backups read together.
const PAGE: i64 = 100;

/// Most backups of one look.
const LIMIT: usize = 1_000;

/// How long one backup may take.
const EACH: Duration = Duration::from_mins(1);

/// Pause after a comparison that failed.
const COMPARE_AGAIN: Duration = Duration::from_mins(1);

/// What the sweep needs.
#[derive(Clone)]
pub struct Sweep {
    /// The database.
    pub db: Db,
    /// Tells workers of a verification.
    pub notifier: Notifier<OperationId>,
    /// Everything else.
    pub services: Services,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// After which time the newest backup of a server is verified again; `None` for never.
    pub verify_every: Option<TimeDelta>,
    /// How often the storage is compared with the rows.
    pub compare_every: Duration,
}

/// How long a sweep may go on without looking at the next backup.
const MAX_SILENCE: Duration = Duration::from_mins(3);

impl Sweep {
    /// Sweeps until the shutdown.
    pub fn start(self, context: &Context, period: Duration) {
        let task = Periodic::new("backups", period).max_silence(MAX_SILENCE);
        context.spawn_periodic(task, move |activation| {
            let sweep = self.clone();
            async move { Ok(sweep.look(&mut || activation.beat()).await?) }
        });
    }

    /// Looks once.
    pub async fn look(&self, beat: &mut impl FnMut()) -> Result<(), StoreError> {
        let reconciled = self.reconcile_all(beat).await;
        let compared = self.compare(beat).await;
        self.verify_one().await.and(compared).and(reconciled)
    }

    /// Compares storage and rows, if it is time and no other worker does, and reports what differs.
    async fn compare(&self, beat: &mut impl FnMut()) -> Result<(), StoreError> {
        if !backups::begin_comparison(&self.db, self.compare_every).await? {
            return Ok(());
        }
        let began = Instant::now();
        match compare(&self.db, &self.services.objects, self.clock.now(), beat).await {
            Ok(report) => backups::report_comparison(&self.db, &report, began.elapsed()).await,
            Err(StepError::Store(error)) => Err(error),
            Err(error) => {
                tracing::warn!(
                    ?error,
                    "the storage could not be compared with the rows; it is tried again in a minute"
                );
                backups::report_comparison_failure(&self.db, &chain(&error), COMPARE_AGAIN).await
            }
        }
    }

    async fn reconcile_all(&self, beat: &mut impl FnMut()) -> Result<(), StoreError> {
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
                match tokio::time::timeout(EACH, self.reconcile_one(backup)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(backup = %id, %state, error = ?error, "a backup could not be reconciled; the next sweep tries again");
                    }
                    Err(_) => {
                        tracing::warn!(backup = %id, %state, "reconciling a backup took too long; the next sweep goes on");
                    }
                }
            }
        }
        Ok(())
    }

    /// Nothing is removed, or given up, for its absence from a storage that is not there itself.
    async fn storage_is_there(&self) -> bool {
        match tokio::time::timeout(EACH, is_there(&self.db, &self.services.objects, None)).await {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => {
                tracing::error!(
                    "the storage has none of the newest backups: is its disk mounted, its bucket the right one? \
                     Nothing is cleaned up until it has"
                );
            }
            Ok(Err(error)) => {
                tracing::warn!(error = ?error, "the storage does not answer; no backup is reconciled until it does");
            }
            Err(_) => {
                tracing::warn!("the storage does not answer in time; no backup is reconciled until it does");
            }
        }
        false
    }

    async fn reconcile_one(&self, backup: &Backup) -> Result<(), StepError> {
        if backup.state == BackupState::Deleting {
            remove_objects(&self.services, backup).await?;
            return Ok(backups::mark_removed(&self.db, backup.id).await?);
        }
        // Nobody uploads any more once every address has expired; an agent that is gone is not waited for longer.
        reconcile(&self.db, &self.services, backup.id, self.is_old(backup.finished_at)).await.map(drop)
    }

    fn is_old(&self, ended: Option<DateTime<Utc>>) -> bool {
        let life = TimeDelta::from_std(self.services.backups.address_life).unwrap_or(TimeDelta::MAX);
        ended.is_some_and(|ended| self.clock.now() - ended > life)
    }

    async fn verify_one(&self) -> Result<(), StoreError> {
        let Some(every) = self.verify_every else { return Ok(()) };
        if let Some(dispatch) = backups::begin_due_verification(&self.db, every, self.clock.now()).await? {
            let operation = self.notifier.notify(dispatch);
            tracing::info!(%operation, "verification of a backup that is due was enqueued as {operation}");
        }
        Ok(())
    }
}
