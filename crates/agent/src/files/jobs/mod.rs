//! Long work on files: two jobs at once, a few that wait, an outcome that is kept for a while.

mod archive;
mod copy;
mod extract;
mod fetch;
mod merge;
mod search;
mod staging;
mod untar;
mod unzip;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::agent::{AgentProblem, FileInfo, FileJob, FileJobSpec, FileJobState};
use tokio::{
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Files,
    error::{FileError, Result, Why},
};

/// Jobs at once.
const RUNNING: usize = 2;
/// Jobs that run or wait.
const UNFINISHED: usize = 10;
/// How long an outcome is kept.
const KEPT: Duration = Duration::from_mins(10);
/// Most outcomes kept.
const OUTCOMES: usize = 100;

/// All jobs of this life of the agent.
#[derive(Debug)]
pub struct Jobs {
    known: Mutex<HashMap<Uuid, Arc<Job>>>,
    running: Arc<Semaphore>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { known: Mutex::default(), running: Arc::new(Semaphore::new(RUNNING)) }
    }
}

#[derive(Debug)]
struct Job {
    id: Uuid,
    work: Arc<Work>,
    outcome: watch::Sender<Option<Outcome>>,
}

/// What a job that runs looks at, and tells.
#[derive(Debug, Default)]
pub(super) struct Work {
    cancelled: CancellationToken,
    bytes: AtomicU64,
    entries: AtomicU64,
    skipped: AtomicU64,
}

#[derive(Clone, Debug)]
struct Outcome {
    at: Instant,
    state: FileJobState,
    error: Option<AgentProblem>,
    found: SearchResult,
}

/// What a search found; empty for other jobs.
#[derive(Clone, Debug, Default)]
pub(super) struct SearchResult {
    pub(super) entries: Vec<FileInfo>,
    pub(super) truncated: bool,
}

impl Work {
    /// Fails once the job is to end.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.cancelled.is_cancelled() { Err(Why::Cancelled.into()) } else { Ok(()) }
    }

    pub(super) fn handled_bytes(&self, bytes: u64) -> Result<()> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.go_on()
    }

    pub(super) fn handled_entry(&self) -> Result<()> {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.go_on()
    }

    pub(super) fn skipped_entry(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }
}

fn kind(spec: &FileJobSpec) -> &'static str {
    match spec {
        FileJobSpec::Copy { .. } => "copy",
        FileJobSpec::Archive { .. } => "archive",
        FileJobSpec::Extract { .. } => "extract",
        FileJobSpec::Fetch { .. } => "fetch",
        FileJobSpec::Search { .. } => "search",
    }
}

impl Jobs {
    /// Begins a job.
    pub fn start(&self, files: &Files, spec: FileJobSpec) -> Result<FileJob> {
        let job = self.add()?;
        // What it is about is the customer's, and as long as they like.
        info!(id = %job.id, kind = kind(&spec), "file job {} ({}) begins", job.id, kind(&spec));
        tokio::spawn(run(Arc::clone(&job), files.clone(), spec, Arc::clone(&self.running)));
        Ok(job.view())
    }

    /// Where a job stands, once it has ended or after `wait`.
    pub async fn get(&self, id: Uuid, wait: Duration) -> Result<FileJob> {
        let job = self.find(id)?;
        // Ended or not: the answer says so.
        let _ = timeout(wait, job.outcome.subscribe().wait_for(Option::is_some)).await;
        Ok(job.view())
    }

    /// Asks a job to end.
    pub fn cancel(&self, id: Uuid) -> Result<FileJob> {
        let job = self.find(id)?;
        job.work.cancelled.cancel();
        Ok(job.view())
    }

    fn add(&self) -> Result<Arc<Job>> {
        let mut known = self.known();
        let mut ended: Vec<(Instant, Uuid)> =
            known.values().filter_map(|job| Some((job.outcome.borrow().as_ref()?.at, job.id))).collect();
        if known.len() - ended.len() >= UNFINISHED {
            return Err(Why::TooMany.into());
        }
        ended.sort_unstable();
        let beyond = ended.len().saturating_sub(OUTCOMES);
        for (index, (at, id)) in ended.into_iter().enumerate() {
            if index < beyond || at.elapsed() > KEPT {
                known.remove(&id);
            }
        }
        let job =
            Arc::new(Job { id: Uuid::now_v7(), work: Arc::default(), outcome: watch::Sender::new(None) });
        known.insert(job.id, Arc::clone(&job));
        Ok(job)
    }

    fn find(&self, id: Uuid) -> Result<Arc<Job>> {
        let known = self.known();
        let job = known
            .get(&id)
            .filter(|job| job.outcome.borrow().as_ref().is_none_or(|outcome| outcome.at.elapsed() <= KEPT));
        Ok(job.cloned().ok_or(Why::NoJob)?)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Job>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn view(&self) -> FileJob {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let outcome = self.outcome.borrow().clone();
        FileJob {
            id: self.id,
            state: outcome.as_ref().map_or(FileJobState::Running, |outcome| outcome.state),
            done_bytes: count(&self.work.bytes),
            done_entries: count(&self.work.entries),
            skipped_entries: count(&self.work.skipped),
            error: outcome.as_ref().and_then(|outcome| outcome.error.clone()),
            truncated: outcome.as_ref().is_some_and(|outcome| outcome.found.truncated),
            found: outcome.map(|outcome| outcome.found.entries).unwrap_or_default(),
        }
    }
}

async fn run(job: Arc<Job>, files: Files, spec: FileJobSpec, running: Arc<Semaphore>) {
    let permit = tokio::select! {
        permit = running.acquire_owned() => permit.ok(),
        () = job.work.cancelled.cancelled() => None,
    };
    let result = match permit {
        Some(permit) => {
            let work = Arc::clone(&job.work);
            let done = spawn_blocking(move || {
                let _permit = permit;
                work.go_on()?;
                perform(&files, &spec, &work)
            });
            done.await.unwrap_or_else(|error| Err(Why::Io(std::io::Error::other(error)).into()))
        }
        None => Err(Why::Cancelled.into()),
    };
    job.outcome.send_replace(Some(outcome(job.id, result)));
}

fn outcome(id: Uuid, result: Result<SearchResult>) -> Outcome {
    let (state, error, found) = match result {
        Ok(found) => (FileJobState::Succeeded, None, found),
        Err(FileError { why: Why::Cancelled, .. }) => {
            (FileJobState::Cancelled, None, SearchResult::default())
        }
        Err(error) => {
            warn!(%id, %error, "file job {id} failed: {error}");
            let problem = AgentProblem { code: error.class().0.to_owned(), detail: error.to_string() };
            (FileJobState::Failed, Some(problem), SearchResult::default())
        }
    };
    Outcome { at: Instant::now(), state, error, found }
}

fn perform(files: &Files, spec: &FileJobSpec, work: &Work) -> Result<SearchResult> {
    match spec {
        FileJobSpec::Copy { from, to } => copy::copy(files, from, to, work)?,
        FileJobSpec::Archive { paths, to, format } => archive::archive(files, paths, to, *format, work)?,
        FileJobSpec::Extract { path, to, replace } => extract::extract(files, path, to, *replace, work)?,
        FileJobSpec::Fetch { url, to } => fetch::fetch(files, url, to, work)?,
        FileJobSpec::Search { path, name } => return search::search(files, path, name, work),
    }
    Ok(SearchResult::default())
}
