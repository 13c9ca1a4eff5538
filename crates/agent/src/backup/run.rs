//! Work that takes its time: it runs in a task of its own, and writes down how it ended.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use domain::agent::{
    BackupFacts, BackupHooks, BackupStatus, BackupTask, BackupTaskState, BackupWork, BackupWorkKind,
};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    Backups, State, Work, create,
    create::Addresses,
    error::{BackupError, BackupRefusal},
    game::{Game, Standing, standing_limit},
    journal::Journal,
    recover::fail,
    report::{Report, size},
    stage,
};

impl Backups {
    /// Begins; what earlier tasks have left, other than a folder swapped out, is dropped first.
    pub(super) async fn begin(
        &self,
        state: &mut State,
        task: BackupTask,
    ) -> Result<BackupStatus, BackupRefusal> {
        let addresses = watch::Sender::new(first_addresses(&task.work)?);
        let mut status = self.note(state, &task, |journal| journal.staged = None).await?;
        status.parts_known = addresses.borrow().known();
        if let Err(error) = self.clear() {
            warn!(%error, "something of an earlier backup could not be removed and still takes up space: {error}");
        }
        let cancel = CancellationToken::new();
        let report = Report::new(Arc::clone(&self.0.board), task.task, status.work);
        report.change(|now| now.parts_known = status.parts_known);
        let work =
            Perform { backups: self.clone(), cancel: cancel.clone(), addresses: addresses.clone(), report };
        let ended = tokio::spawn(work.run(task));
        state.work = Some(Work { cancel, addresses, ended });
        Ok(self.0.board.borrow().clone().unwrap_or(status))
    }

    fn clear(&self) -> io::Result<()> {
        self.0.places.clear_work()?;
        for (_, folder) in self.0.places.leftovers()? {
            self.0.places.discard(&folder)?;
        }
        self.0.trash.notify_one();
        Ok(())
    }

    /// Writes down how work has ended. What it has left is dropped, but for a staged folder.
    async fn end(&self, task: Uuid, work: BackupWorkKind, outcome: Result<Option<BackupFacts>, BackupError>) {
        let mut state = self.0.state.lock().await;
        let staged = (work == BackupWorkKind::Stage && outcome.is_ok()).then_some(task);
        if staged.is_none() {
            self.0.discard_of(task);
        }
        let mut journal = Journal { staged, ..state.journal.clone() };
        let Some(mut status) = self.0.board.borrow().clone() else { return };
        status.revision += 1;
        match outcome {
            Ok(facts) => {
                info!(%task, ?work, "backup task {task} ({work:?}) succeeded");
                status.state = BackupTaskState::Succeeded;
                (status.detail, status.percent, status.facts) = ("done".to_owned(), 100, facts);
                status.needs_addresses = false;
            }
            Err(error) => {
                warn!(%task, ?work, %error, "backup task {task} ({work:?}) failed: {error}");
                fail(&mut status, &error);
            }
        }
        journal.status = Some(status.clone());
        if let Err(refusal) = self.save(&mut state, journal).await {
            error!(%task, %refusal, "how backup task {task} ended could not be saved and is forgotten by the next boot: {refusal}");
        }
        self.0.board.send_replace(Some(status));
    }
}

fn first_addresses(work: &BackupWork) -> Result<Addresses, BackupRefusal> {
    let mut addresses = Addresses::default();
    if let BackupWork::Create { first_part, parts, manifest, .. } = work {
        addresses.add(*first_part, parts, manifest).map_err(BackupRefusal::Invalid)?;
    }
    Ok(addresses)
}

/// One piece of work.
struct Perform {
    backups: Backups,
    cancel: CancellationToken,
    addresses: watch::Sender<Addresses>,
    report: Report,
}

impl Perform {
    async fn run(self, task: BackupTask) {
        let (id, kind) = (task.task, task.work.kind());
        let worked = self.cancel.clone().run_until_cancelled_owned(self.work(task)).await;
        // Also after a failure, and after it was cancelled.
        self.backups.release().await;
        self.backups.end(id, kind, worked.unwrap_or(Err(BackupError::Aborted))).await;
    }

    async fn work(&self, task: BackupTask) -> Result<Option<BackupFacts>, BackupError> {
        let places = self.backups.0.places.clone();
        let into = match &task.work {
            BackupWork::Verify { .. } => places.scratch(task.task),
            _ => places.staging(task.task),
        };
        match task.work {
            BackupWork::Create { ignore, hooks, part_bytes, .. } => {
                let plan = create::Plan {
                    backup: task.backup,
                    ignore,
                    part_bytes,
                    addresses: self.addresses.clone(),
                    places,
                    report: self.report.clone(),
                    cancel: self.cancel.clone(),
                    estimate: self.backups.0.used_bytes.load(Ordering::Relaxed),
                };
                self.create(plan, hooks).await.map(Some)
            }
            BackupWork::Stage { archive, manifest, expect } => {
                self.check_limit(expect.content_bytes)?;
                self.stage(stage::Plan::new(archive, manifest, expect, self.place(into)), false).await
            }
            BackupWork::Verify { archive, manifest, expect } => {
                self.stage(stage::Plan::new(archive, manifest, expect, self.place(into)), true).await
            }
            // These are done at once.
            BackupWork::Swap | BackupWork::SwapBack | BackupWork::Commit | BackupWork::Abort => Ok(None),
        }
    }

    fn place(&self, into: std::path::PathBuf) -> stage::Place {
        stage::Place {
            places: self.backups.0.places.clone(),
            report: self.report.clone(),
            cancel: self.cancel.clone(),
            into,
        }
    }

    async fn create(&self, plan: create::Plan, hooks: BackupHooks) -> Result<BackupFacts, BackupError> {
        let game = Game(self.backups.0.service.clone());
        self.report.detail("waiting for the server to flush its files", None);
        let standing = game.standing(standing_limit(&hooks)).await;
        if standing == Standing::Up {
            self.backups.owe(hooks.after.clone()).await?;
        }
        let consistency = game.flush(standing, &hooks).await?;
        let (read, all_read) = oneshot::channel();
        let release = async {
            // Its end is as good: then nothing more is read either.
            let _ = all_read.await;
            self.backups.release().await;
        };
        tokio::join!(plan.run(consistency, read), release).0
    }

    /// Files may take what the plan allows, or what they take now: a server that has outgrown its plan can go back.
    fn check_limit(&self, needed: u64) -> Result<(), BackupError> {
        let limit = self.backups.0.service.spec().and_then(|spec| spec.disk_limit_bytes);
        match limit {
            Some(limit) if needed > limit.max(self.backups.0.used_bytes.load(Ordering::Relaxed)) => {
                Err(BackupError::AbovePlan { needed: size(needed), limit: size(limit) })
            }
            _ => Ok(()),
        }
    }

    async fn stage(&self, plan: stage::Plan, compare: bool) -> Result<Option<BackupFacts>, BackupError> {
        plan.run(compare).await.map(|()| None)
    }
}
