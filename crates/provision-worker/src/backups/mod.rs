//! Backups in storage: whether one is complete, and what becomes of one whose operation did not say.

mod compare;
mod sweep;

use std::{sync::Arc, time::Duration};

use domain::{
    agent::{BackupFacts, BackupStatus, BackupTask, BackupTaskState, BackupWork, BackupWorkKind},
    backup::{Backup, BackupState},
    ids::{BackupId, OperationId},
};
use integrations::{
    agent::AgentSession,
    objects::{ObjectError, ObjectStore, UploadId},
};
use store::{Db, backups::Reconciliation};

use crate::saga::{STORAGE_UNREACHABLE, Services, StepError, agent_of, insist};
pub use compare::compare;
pub use sweep::Sweep;

/// How long the storage may be silent within a step.
pub(crate) const STORAGE_DEADLINE: Duration = Duration::from_secs(15);

/// How many of the newest backups are looked for.
const WITNESSES: i64 = 3;

/// How long one backup may take, where others wait for it. An undo must end well within its own deadline.
pub(crate) const RECONCILE_DEADLINE: Duration = Duration::from_secs(40);

/// How long an agent is waited for that is asked what it knows.
const AGENT_DEADLINE: Duration = Duration::from_secs(5);

/// What became of a backup that was not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// It is complete, and available from now on.
    Complete,
    /// Nothing of it is left in storage.
    Removed,
    /// Its agent does not answer, and may still be uploading; or another is about it, or was; or the storage is not the
    /// one that backups are in.
    Later,
}

/// Whether archive and manifest are in storage as they were made.
pub(crate) async fn is_complete(
    storage: &Arc<dyn ObjectStore>,
    backup: &Backup,
    facts: &BackupFacts,
) -> Result<bool, StepError> {
    let (archive, manifest) = (backup.archive_key(), backup.manifest_key());
    let archive = insist(STORAGE_DEADLINE, || storage.head(&archive)).await?;
    let manifest = insist(STORAGE_DEADLINE, || storage.head(&manifest)).await?;
    Ok(archive.is_some_and(|it| it.bytes == facts.archive_bytes) && manifest.is_some())
}

/// Whether the storage is the one that backups were put into, rather than an empty folder where its disk is to be, or
/// another bucket: it has one of the newest backups besides `except`, or there are none. Before anybody concludes from
/// something's absence.
pub(crate) async fn is_there(
    db: &Db,
    storage: &Arc<dyn ObjectStore>,
    except: Option<BackupId>,
) -> Result<bool, StepError> {
    let witnesses = store::backups::witnesses(db, except, WITNESSES).await?;
    for backup in &witnesses {
        let archive = backup.archive_key();
        if insist(STORAGE_DEADLINE, || storage.head(&archive)).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(witnesses.is_empty())
}

/// Finds a backup that is complete although nobody has said so, or removes what is left of it. Nobody waits for an agent
/// that does not answer if `agent_is_given_up`: every address that it has been given has expired. May be repeated, and
/// cut off anywhere.
pub async fn reconcile(
    db: &Db,
    services: &Services,
    id: BackupId,
    agent_is_given_up: bool,
) -> Result<Reconciled, StepError> {
    let Some(reconciliation) = store::backups::begin_reconciliation(db, id).await? else {
        return Ok(Reconciled::Later);
    };
    let reconciled = reconcile_alone(db, services, &reconciliation, agent_is_given_up).await;
    store::backups::end_reconciliation(db, id).await?;
    reconciled
}

async fn reconcile_alone(
    db: &Db,
    services: &Services,
    reconciliation: &Reconciliation,
    agent_is_given_up: bool,
) -> Result<Reconciled, StepError> {
    let backup = &reconciliation.backup;
    let answer = match reconciliation.made_by {
        Some(task) => ask(db, services, backup, task).await,
        None => AgentAnswer::Nothing,
    };
    if let AgentAnswer::Made(status) = &answer {
        finish_upload(services, backup, status).await?;
    }
    let facts = match &answer {
        AgentAnswer::Made(status) => status.facts.as_ref().or(backup.facts.as_ref()),
        _ => backup.facts.as_ref(),
    };
    if let Some(facts) = facts
        && is_complete(&services.objects, backup, facts).await?
    {
        if store::backups::found(db, backup.id, facts, crate::BY).await? {
            tracing::info!(backup = %backup.id, "a backup whose operation did not succeed is complete: found again");
        }
        return Ok(Reconciled::Complete);
    }
    if matches!(answer, AgentAnswer::Silent) && !agent_is_given_up {
        return Ok(Reconciled::Later);
    }
    if !is_there(db, &services.objects, Some(backup.id)).await? {
        tracing::error!(backup = %backup.id, "the storage has none of the newest backups: nothing is given up as missing");
        return Ok(Reconciled::Later);
    }
    remove_objects(services, backup).await?;
    if backup.state == BackupState::Failed {
        store::backups::mark_reconciled(db, backup.id).await?;
    }
    Ok(Reconciled::Removed)
}

/// Reconciles the backup whose making an agent still speaks of, although its operation is over: with the agent's next task
/// nobody would know any more what it has made. Where the storage cannot be asked now the next task waits for it too.
pub(crate) async fn reconcile_former(
    db: &Db,
    services: &Services,
    former: OperationId,
) -> Result<(), StepError> {
    let reconciled = async {
        match store::backups::unreconciled_of(db, former).await? {
            Some(backup) => reconcile(db, services, backup, false).await.map(Some),
            None => Ok(None),
        }
    };
    match tokio::time::timeout(RECONCILE_DEADLINE, reconciled).await {
        Ok(Ok(None | Some(Reconciled::Complete | Reconciled::Removed))) => Ok(()),
        Ok(Ok(Some(Reconciled::Later))) | Err(_) => Err(StepError::storage_is_away()),
        Ok(Err(StepError::Failed { failure, cause })) if failure.code != STORAGE_UNREACHABLE => {
            tracing::error!(%former, code = failure.code, cause = ?cause, "a former backup is given up: it cannot be reconciled");
            Ok(())
        }
        Ok(Err(error)) => Err(error),
    }
}

/// Removes everything of a backup from storage. A no-op where nothing is.
pub(crate) async fn remove_objects(services: &Services, backup: &Backup) -> Result<(), StepError> {
    let (storage, archive, manifest) = (&services.objects, backup.archive_key(), backup.manifest_key());
    if let Some(upload) = backup.upload_id.clone().map(UploadId) {
        insist(STORAGE_DEADLINE, || storage.abort(&archive, &upload)).await?;
    }
    // The manifest last: while it is there, whoever looks knows what the archive is.
    insist(STORAGE_DEADLINE, || storage.delete(&archive)).await?;
    Ok(insist(STORAGE_DEADLINE, || storage.delete(&manifest)).await?)
}

/// What an agent knows of the making of a backup.
enum AgentAnswer {
    /// Everything is uploaded.
    Made(Box<BackupStatus>),
    /// It does not work on it, and will not.
    Nothing,
    /// It does not answer.
    Silent,
}

/// Asks the agent; work that goes on is ended.
async fn ask(db: &Db, services: &Services, backup: &Backup, task: OperationId) -> AgentAnswer {
    let Ok(agent) = agent_of(db, services, backup.instance_id).await else { return AgentAnswer::Silent };
    let status = insist(AGENT_DEADLINE, || agent.backup_status(None, Duration::ZERO)).await;
    let mine = |status: &BackupStatus| status.task == task.0 && status.work == BackupWorkKind::Create;
    match status {
        Ok(Some(status)) if mine(&status) && status.state == BackupTaskState::Succeeded => {
            AgentAnswer::Made(Box::new(status))
        }
        Ok(Some(status)) if mine(&status) => abort(&agent, backup, task).await,
        Ok(_) => AgentAnswer::Nothing,
        Err(error) => {
            tracing::debug!(%error, backup = %backup.id, "the agent was asked in vain");
            AgentAnswer::Silent
        }
    }
}

async fn abort(agent: &Arc<dyn AgentSession>, backup: &Backup, task: OperationId) -> AgentAnswer {
    let abort = BackupTask { task: task.0, backup: backup.id, work: BackupWork::Abort };
    match insist(AGENT_DEADLINE, || agent.backup_put(&abort)).await {
        Ok(_) => AgentAnswer::Nothing,
        Err(error) => {
            tracing::warn!(%error, backup = %backup.id, "the agent could not be told that its work is over; it is before its next backup");
            AgentAnswer::Silent
        }
    }
}

/// Makes the archive of the parts that the agent uploaded, if that was not done.
async fn finish_upload(services: &Services, backup: &Backup, status: &BackupStatus) -> Result<(), StepError> {
    let Some(upload) = backup.upload_id.clone().map(UploadId) else { return Ok(()) };
    let (key, storage) = (backup.archive_key(), &services.objects);
    match insist(STORAGE_DEADLINE, || storage.complete(&key, &upload, &status.uploaded)).await {
        Ok(()) => Ok(()),
        // Its parts are gone: it cannot be completed any more, and the caller finds no archive.
        Err(ObjectError::Incomplete(why)) => {
            tracing::warn!(backup = %backup.id, why, "the parts of an upload are gone from the storage; it cannot be completed any more");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
