//! Backups: one task at a time, journaled, so that an agent that was killed leaves the customer's files as they were.
//!
//! Architecture invariant: the data folder is only ever read, or renamed as a whole; see [`swap`] for its exchange and
//! [`recover`] for what a boot does about one that was interrupted.

mod create;
mod error;
mod exchange;
mod folder;
mod game;
mod http;
mod journal;
mod manifest;
mod owed;
mod places;
mod recover;
mod report;
mod run;
mod stage;
mod swap;
mod trash;

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use domain::agent::{
    AgentState, BackupStatus, BackupTask, BackupTaskState, BackupWork, BackupWorkKind, MAX_BACKUP_WAIT_MS,
};
use shim::clock;
use tokio::{
    sync::{Mutex, Notify, watch},
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use self::{
    create::Addresses,
    journal::Journal,
    report::{Board, Report},
};
pub use self::{error::BackupRefusal, places::Places, recover::recover};
use crate::service::Service;

/// Longest wait for work that was cancelled: it looks between two pieces of a file.
const CANCEL_DEADLINE: Duration = Duration::from_secs(20);

/// The backups of this container. Cheap to clone.
#[derive(Clone)]
pub struct Backups(Arc<Inner>);

struct Inner {
    places: Places,
    service: Service,
    board: Board,
    state: Mutex<State>,
    /// There is something to remove.
    trash: Notify,
    /// The game has not got what it is owed.
    unpaid: Notify,
    /// Bytes in the data folder, as far as anybody has counted.
    used_bytes: Arc<AtomicU64>,
    exchange: Exchange,
}

/// Calls what puts another folder in the place of the data folder, while nobody else gives a name in it.
type Exchange = Box<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// What only one may change at a time.
struct State {
    journal: Journal,
    work: Option<Work>,
    /// The game is owed lines that a copy under way needs it to do without.
    held: bool,
}

/// Work under way.
struct Work {
    cancel: CancellationToken,
    addresses: watch::Sender<Addresses>,
    ended: JoinHandle<()>,
}

impl Backups {
    /// Goes on from where [`recover`] has left off. `used_bytes` is for showing progress; `exchange` calls the
    /// renames of the data folder.
    pub fn open(
        places: Places,
        service: Service,
        used_bytes: Arc<AtomicU64>,
        exchange: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let mut journal = Journal::load(&places.journal())?;
        // Revisions start from the wall clock, so that one of an earlier life of the agent is never above them.
        let now = u64::try_from(clock::now().timestamp_millis()).unwrap_or_default();
        if let Some(status) = &mut journal.status {
            status.revision = now.max(status.revision + 1);
        }
        let board = Arc::new(watch::Sender::new(journal.status.clone()));
        let state = Mutex::new(State { journal, work: None, held: false });
        let exchange = Box::new(exchange);
        let inner = Inner {
            places,
            service,
            board,
            state,
            trash: Notify::new(),
            unpaid: Notify::new(),
            used_bytes,
            exchange,
        };
        let backups = Self(Arc::new(inner));
        tokio::spawn(backups.clone().empty_trash());
        tokio::spawn(backups.clone().keep_paying());
        Ok(backups)
    }

    /// The status as soon as its revision is above `since`, or whatever it is after `wait`; none before the first task.
    pub async fn status_after(&self, since: Option<u64>, wait: Duration) -> Option<BackupStatus> {
        let mut board = self.0.board.subscribe();
        if let Some(since) = since {
            let newer =
                |status: &Option<BackupStatus>| status.as_ref().is_some_and(|status| status.revision > since);
            let wait = wait.min(Duration::from_millis(MAX_BACKUP_WAIT_MS));
            // Whether it changed or the time is over: the answer is what is known now.
            let _ = timeout(wait, board.wait_for(newer)).await;
        }
        board.borrow().clone()
    }

    /// Begins work, or goes on with it; answers once that has begun. Whoever asks may go away meanwhile: what is begun
    /// here is not left half done.
    pub async fn put(&self, task: BackupTask) -> Result<BackupStatus, BackupRefusal> {
        let backups = self.clone();
        let taken = tokio::spawn(async move { backups.take(task).await });
        taken.await.unwrap_or(Err(BackupRefusal::NotSaved))
    }

    async fn take(&self, task: BackupTask) -> Result<BackupStatus, BackupRefusal> {
        create::check(&task.work).map_err(BackupRefusal::Invalid)?;
        if matches!(task.work, BackupWork::Abort) {
            return self.abort(&task).await;
        }
        let mut state = self.0.state.lock().await;
        if let Some(status) = self.current(&task) {
            match (status.state, &task.work) {
                (BackupTaskState::Running, BackupWork::Create { first_part, parts, manifest, .. }) => {
                    return self.add_addresses(&state, status, *first_part, parts, manifest);
                }
                (BackupTaskState::Running | BackupTaskState::Succeeded, _) => return Ok(status),
                (BackupTaskState::Failed, _) => {}
            }
        }
        if self.0.board.borrow().as_ref().is_some_and(|status| status.state == BackupTaskState::Running) {
            return Err(BackupRefusal::Busy);
        }
        if let Some(work) = state.work.take() {
            // It has told its end; what is left of it is the way out.
            let _ = work.ended.await;
        }
        let kind = task.work.kind();
        let exchange =
            matches!(kind, BackupWorkKind::Swap | BackupWorkKind::SwapBack | BackupWorkKind::Commit);
        match state.journal.swap {
            Some(swap) if swap.task != task.task || !exchange => Err(BackupRefusal::Swapped),
            _ if exchange => self.exchange(&mut state, &task, kind).await,
            _ => self.begin(&mut state, task).await,
        }
    }

    /// The status, if it is of this very work.
    fn current(&self, task: &BackupTask) -> Option<BackupStatus> {
        let same = |status: &BackupStatus| (status.task, status.work) == (task.task, task.work.kind());
        self.0.board.borrow().clone().filter(same)
    }

    fn add_addresses(
        &self,
        state: &State,
        status: BackupStatus,
        first: u32,
        parts: &[String],
        manifest: &str,
    ) -> Result<BackupStatus, BackupRefusal> {
        let Some(work) = &state.work else { return Ok(status) };
        let mut known = work.addresses.borrow().clone();
        known.add(first, parts, manifest).map_err(BackupRefusal::Invalid)?;
        let count = known.known();
        work.addresses.send_replace(known);
        Report::new(Arc::clone(&self.0.board), status.task, status.work)
            .change(|status| status.parts_known = count);
        Ok(self.0.board.borrow().clone().unwrap_or(status))
    }

    /// Notes that work begins; on disk before anything is done.
    async fn note(
        &self,
        state: &mut State,
        task: &BackupTask,
        change: impl FnOnce(&mut Journal),
    ) -> Result<BackupStatus, BackupRefusal> {
        let now = u64::try_from(clock::now().timestamp_millis()).unwrap_or_default();
        let revision = self.0.board.borrow().as_ref().map_or(now, |status| status.revision + 1);
        let status = begun(task, revision);
        let mut journal = state.journal.clone();
        journal.status = Some(status.clone());
        change(&mut journal);
        self.save(state, journal).await?;
        self.0.board.send_replace(Some(status.clone()));
        info!(task = %task.task, work = ?status.work, "backup task {} begins: {:?}", task.task, status.work);
        Ok(status)
    }

    async fn save(&self, state: &mut State, journal: Journal) -> Result<(), BackupRefusal> {
        let (file, written) = (self.0.places.journal(), journal.clone());
        let stored = spawn_blocking(move || written.store(&file))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        stored.map_err(|error| {
            error!(%error, "the journal of backups was not saved, so what was asked for is refused: {error}");
            BackupRefusal::NotSaved
        })?;
        state.journal = journal;
        Ok(())
    }

    /// The work at hand has succeeded.
    fn conclude(&self, journal: &mut Journal) -> BackupStatus {
        self.0.board.send_modify(|status| {
            if let Some(status) = status {
                status.revision += 1;
                status.state = BackupTaskState::Succeeded;
                (status.detail, status.percent) = ("done".to_owned(), 100);
            }
        });
        journal.status.clone_from(&self.0.board.borrow());
        journal.status.clone().expect("work has a status")
    }

    async fn is_down(&self) -> bool {
        // A stop that was just asked for is known to the service's own task first.
        tokio::task::yield_now().await;
        down(&self.0.service)
    }

    async fn abort(&self, task: &BackupTask) -> Result<BackupStatus, BackupRefusal> {
        let mut state = self.0.state.lock().await;
        if state.journal.swap.is_some_and(|swap| swap.task == task.task) {
            return Err(BackupRefusal::Swapped);
        }
        let ours = self.0.board.borrow().clone().filter(|status| status.task == task.task);
        let Some(status) = ours else {
            // Whatever else there is goes on, so nothing is touched but the folders in its own name.
            self.0.discard_folders(task.task);
            let revision = self.0.board.borrow().as_ref().map_or(0, |status| status.revision);
            return Ok(aborted(task, revision));
        };
        if status.work == BackupWorkKind::Abort {
            return Ok(status);
        }
        if let Some(work) = state.work.take() {
            work.cancel.cancel();
            // It writes its own end, for which it needs the state.
            drop(state);
            if timeout(CANCEL_DEADLINE, work.ended).await.is_err() {
                return Err(BackupRefusal::Busy);
            }
            state = self.0.state.lock().await;
        }
        self.0.discard_of(task.task);
        self.note(&mut state, task, |journal| journal.staged = None).await?;
        let mut journal = state.journal.clone();
        let done = self.conclude(&mut journal);
        self.save(&mut state, journal).await?;
        Ok(done)
    }

    /// Removes what was discarded, now and whenever there is more.
    async fn empty_trash(self) {
        loop {
            let trash = self.0.places.trash();
            match spawn_blocking(move || trash::empty(&trash)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(%error, "what was discarded could not be removed; it is tried again later: {error}");
                }
                Err(error) => {
                    warn!(%error, "removing what was discarded failed; it still takes up space: {error}");
                }
            }
            self.0.trash.notified().await;
        }
    }
}

impl Inner {
    fn discard_folders(&self, task: Uuid) {
        for folder in [self.places.staging(task), self.places.scratch(task)] {
            stage::discard(&self.places, &folder);
        }
        self.trash.notify_one();
    }

    /// Everything of the task at hand, parts on their way included.
    fn discard_of(&self, task: Uuid) {
        self.discard_folders(task);
        if let Err(error) = self.places.clear_work() {
            warn!(%error, "parts of a backup could not be removed and still take up space: {error}");
        }
    }
}

fn down(service: &Service) -> bool {
    let state = service.state();
    matches!(state, AgentState::Idle | AgentState::Stopped | AgentState::Crashed | AgentState::Error)
}

fn aborted(task: &BackupTask, revision: u64) -> BackupStatus {
    BackupStatus {
        work: BackupWorkKind::Abort,
        state: BackupTaskState::Succeeded,
        detail: "done".to_owned(),
        percent: 100,
        ..begun(task, revision)
    }
}

fn begun(task: &BackupTask, revision: u64) -> BackupStatus {
    BackupStatus {
        revision,
        task: task.task,
        backup: task.backup,
        work: task.work.kind(),
        state: BackupTaskState::Running,
        detail: "beginning".to_owned(),
        percent: 0,
        uploaded: Vec::new(),
        parts_known: 0,
        needs_addresses: false,
        facts: None,
        fault: None,
    }
}
