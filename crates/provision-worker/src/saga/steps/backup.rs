//! A backup: the agent packs and uploads, the worker signs addresses and makes the object of its parts.

use async_trait::async_trait;
use domain::{
    agent::{BACKUP_PART_BYTES, BackupHooks, BackupStatus, BackupWork, BackupWorkKind, MAX_BACKUP_PARTS},
    backup::Backup,
    operation::Failure,
};
use integrations::objects::UploadId;
use store::backups;
use tokio::time::timeout;

use super::{
    service::variant,
    task::{Task, is_over},
};
use crate::{
    backups::{self as stored, RECONCILE_DEADLINE, Reconciled, STORAGE_DEADLINE},
    saga::{Step, StepError, Work, wait::insist},
};

/// Addresses of parts that the agent has ahead of what it has uploaded: at 64 MiB each, a GiB.
const AHEAD: u32 = 16;

/// With fewer than this it is given more.
const LOW: u32 = 8;

/// Packs the data folder into the storage.
pub(super) struct StoreArchive;

#[async_trait]
impl Step for StoreArchive {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?;
        let storage = &work.services.objects;
        if let Some(facts) = &backup.facts
            && stored::is_complete(storage, &backup, facts).await?
        {
            return Ok(()); // By a worker that died before it could say so.
        }
        let upload = upload(work, &backup).await?;
        let status = make(&Making::new(work, &backup, &upload).await?).await?;
        let facts = status.facts.ok_or_else(|| StepError::internal("the agent does not say what it made"))?;
        backups::save_facts(&work.db, &work.lease, &facts).await?;
        let (key, parts) = (backup.archive_key(), &status.uploaded);
        insist(STORAGE_DEADLINE, || storage.complete(&key, &upload, parts)).await?;
        if stored::is_complete(storage, &backup, &facts).await? {
            return Ok(());
        }
        Err(StepError::internal("the storage does not have what the agent uploaded"))
    }

    /// A backup that is complete all the same stays, and is available. What the storage or the agent cannot be asked
    /// now the sweep asks later.
    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        let backup = work.backup().await?.id;
        match timeout(RECONCILE_DEADLINE, stored::reconcile(&work.db, &work.services, backup, false)).await {
            Ok(Ok(Reconciled::Complete | Reconciled::Removed)) => Ok(()),
            Ok(Ok(Reconciled::Later)) => {
                tracing::warn!(%backup, "the agent of an undone backup does not answer; the sweep cleans up");
                Ok(())
            }
            Ok(Err(StepError::Failed { failure: Failure { code, .. }, cause })) => {
                tracing::warn!(%backup, code, cause = ?cause, "what is left of an undone backup could not be removed; the sweep does it");
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                tracing::warn!(%backup, "cleaning up an undone backup takes too long; the sweep does it");
                Ok(())
            }
        }
    }
}

/// The upload: begun and stored once, then gone on with by whoever works.
async fn upload(work: &Work, backup: &Backup) -> Result<UploadId, StepError> {
    if let Some(upload) = &backup.upload_id {
        return Ok(UploadId(upload.clone()));
    }
    let key = backup.archive_key();
    let upload = insist(STORAGE_DEADLINE, || work.services.objects.begin_upload(&key)).await?;
    backups::save_upload(&work.db, &work.lease, &upload.0).await?;
    Ok(upload)
}

/// What making a backup needs.
struct Making<'a> {
    task: Task<'a>,
    upload: &'a UploadId,
    hooks: BackupHooks,
}

impl<'a> Making<'a> {
    async fn new(work: &'a Work, backup: &'a Backup, upload: &'a UploadId) -> Result<Self, StepError> {
        let hooks = variant(&work.blueprint().await?, work)?.backup.clone();
        Ok(Self { task: Task::of(work, backup).await?, upload, hooks })
    }

    /// Gives the agent addresses from the part `first` on; the first time, all that it needs to begin.
    async fn sign(&self, first: u32, last: u32) -> Result<BackupStatus, StepError> {
        let (work, backup) = (self.task.work, self.task.backup);
        let (storage, expires) = (&work.services.objects, work.services.backups.address_life);
        let key = backup.archive_key();
        let parts = (first..=last).map(|number| storage.part_url(&key, self.upload, number, expires));
        let create = BackupWork::Create {
            ignore: backup.ignore.clone(),
            hooks: self.hooks.clone(),
            part_bytes: BACKUP_PART_BYTES,
            first_part: first,
            parts: parts.collect::<Result<_, _>>()?,
            manifest: storage.put_url(&backup.manifest_key(), expires)?,
        };
        self.task.put(create).await
    }
}

/// Lets the agent work until it has uploaded everything, and keeps its addresses ahead of it. Work that went on, or
/// ended, while no worker looked is not begun again.
async fn make(making: &Making<'_>) -> Result<BackupStatus, StepError> {
    let mut status = match making.task.known(BackupWorkKind::Create).await? {
        Some(status) => status,
        None => making.sign(1, AHEAD).await?,
    };
    while !is_over(&status, BackupWorkKind::Create)? {
        let uploaded = u32::try_from(status.uploaded.len()).unwrap_or(u32::MAX);
        if status.needs_addresses || status.parts_known < uploaded.saturating_add(LOW) {
            let first = status.parts_known.saturating_add(1);
            let last = uploaded.saturating_add(AHEAD).max(first);
            if last > most_parts(making.task.work.instance.resources.disk_mib) {
                let message = "The files are larger than the plan's disk space allows, so they were not backed up. \
                               Nothing was changed; delete some, or ignore some in the backup.";
                return Err(StepError::failed("backup_too_large", message));
            }
            making.sign(first, last).await?;
        }
        making.task.tell(&status).await?;
        status = making.task.next(&status).await?;
    }
    Ok(status)
}

/// Most parts of a backup of that many MiB: whoever plays the agent's part does not decide how much we store. Twice
/// the plan, since what the game itself writes is not held to it everywhere.
fn most_parts(disk_mib: u32) -> u32 {
    let plan = u64::from(disk_mib).saturating_mul(2 << 20) / BACKUP_PART_BYTES;
    u32::try_from(plan).unwrap_or(u32::MAX).saturating_add(AHEAD).min(MAX_BACKUP_PARTS)
}

/// Hands the backup over; older ones give way.
pub(super) struct MarkBackedUp;

#[async_trait]
impl Step for MarkBackedUp {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(backups::backup_succeeded(&work.db, &work.lease, crate::BY).await?)
    }

    /// Had the transaction been committed, there would be no operation left to undo.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}
