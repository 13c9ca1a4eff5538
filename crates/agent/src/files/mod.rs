//! The customer's files over the agent's interface: listed, read, written, changed, packed and unpacked.
//!
//! Architecture invariant: a path is resolved by the kernel from a handle of the customer's folder, and no link on it is
//! followed ([`folder`], [`at`]); what text says is never trusted for that. Invariant: what has a name is whole, because
//! everything is written under the scratch folder first and moved to its name last. Invariant: blocking work is done on
//! other threads, of which at most [`THREADS`] at once.

mod at;
mod change;
mod count;
mod deleted;
pub mod error;
mod folder;
pub mod jobs;
mod parts;
mod quota;
mod read;
mod remove;
mod scratch;
mod walk;
mod write;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::agent::{
    FileChange, FileInfo, FileJob, FileJobSpec, FileList, FilePath, FilesUsage, ServiceSpec,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::spawn_blocking,
};

pub(crate) use self::{count::bytes as bytes_in, scratch::NAME as SCRATCH};
use self::{
    deleted::Deleted,
    error::{Result, Why},
    folder::Folder,
    jobs::Jobs,
    quota::Quota,
    scratch::ScratchNames,
};
pub use self::{
    parts::Sender,
    read::{Content, LONGEST_PAGE},
    write::{Conditions, Upload},
};

/// Most threads that read and write at once, besides those of jobs.
const THREADS: usize = 8;
/// Most uploads at once: each holds some hundred KiB.
const UPLOADS: usize = 16;

/// The customer's files; cheap to clone.
#[derive(Clone, Debug)]
pub struct Files(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    data: PathBuf,
    quota: Arc<Quota>,
    scratch: Arc<ScratchNames>,
    threads: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    jobs: Jobs,
    parts: parts::Parts,
    deleted: Deleted,
    /// Held between looking at what a name stands for and replacing it.
    naming: Mutex<()>,
    /// Whether the disk space in use is known.
    counted: watch::Sender<bool>,
    count_now: Notify,
}

impl Files {
    /// The files in `data`, of which there may be as many bytes as `spec` says at the moment. Begins to count them.
    pub fn open(data: PathBuf, spec: watch::Receiver<Option<Arc<ServiceSpec>>>) -> Self {
        let files = Self(Arc::new(Shared {
            data,
            quota: Quota::new(spec),
            scratch: Arc::default(),
            threads: Arc::new(Semaphore::new(THREADS)),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            jobs: Jobs::default(),
            parts: parts::Parts::default(),
            deleted: Deleted::default(),
            naming: Mutex::default(),
            counted: watch::Sender::new(false),
            count_now: Notify::new(),
        }));
        tokio::spawn(count::keep_counting(files.clone()));
        tokio::spawn(files.clone().keep_giving_up());
        files
    }

    /// The disk space in use, in bytes; 0 until it has been counted.
    pub fn used_bytes(&self) -> Arc<AtomicU64> {
        self.0.quota.shown()
    }

    /// Counts soon: somebody else has written or deleted much.
    pub fn recount(&self) {
        self.0.count_now.notify_one();
    }

    /// Disk space in use, and its bound.
    pub async fn usage(&self) -> Result<FilesUsage> {
        self.counted().await?;
        let used_bytes = self.0.quota.shown().load(Ordering::Relaxed);
        Ok(FilesUsage { used_bytes, limit_bytes: self.0.quota.limit() })
    }

    /// Entries of a folder, by name.
    pub async fn list(&self, path: FilePath, after: Option<FilePath>, limit: usize) -> Result<FileList> {
        self.blocking(move |files| read::list(files, &path, after.as_ref(), limit)).await
    }

    /// What a path stands for.
    pub async fn stat(&self, path: FilePath) -> Result<FileInfo> {
        self.blocking(move |files| read::stat(files, &path).map_err(|error| error.at(&path))).await
    }

    /// A file, open.
    pub async fn content(&self, path: FilePath) -> Result<Content> {
        self.blocking(move |files| read::content(files, &path).map_err(|error| error.at(&path))).await
    }

    /// Begins to write a file of `length` bytes, if that is known.
    pub async fn upload(
        &self,
        path: FilePath,
        length: Option<u64>,
        parents: bool,
        conditions: Conditions,
    ) -> Result<Upload> {
        let permit = Arc::clone(&self.0.uploads).try_acquire_owned().map_err(|_| Why::TooMany)?;
        self.counted().await?;
        self.blocking(move |files| {
            Upload::begin(files, &path, length, parents, conditions, Some(permit))
                .map_err(|error| error.at(&path))
        })
        .await
    }

    /// Does something small.
    pub async fn change(&self, change: FileChange) -> Result<()> {
        let deleted = self.blocking(move |files| change::change(files, &change)).await?;
        deleted::wait_for(deleted).await;
        Ok(())
    }

    /// Begins something long.
    pub async fn start_job(&self, spec: FileJobSpec) -> Result<FileJob> {
        self.counted().await?;
        self.0.jobs.start(self, spec)
    }

    /// Long work.
    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// Runs `work` where blocking is allowed. Should nobody wait for it any more, it ends all the same.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.0.threads).acquire_owned().await.map_err(|_| Why::TooMany)?;
        let files = self.clone();
        let done = spawn_blocking(move || {
            let _permit = permit;
            work(&files)
        });
        done.await.unwrap_or_else(|error| Err(Why::Io(std::io::Error::other(error)).into()))
    }

    /// Waits for the first count: before it nobody knows whether there is room.
    async fn counted(&self) -> Result<()> {
        let mut counted = self.0.counted.subscribe();
        counted.wait_for(|counted| *counted).await.map_err(|_| Why::TooMany)?;
        Ok(())
    }

    /// Runs `work`, which puts another folder in the place of the customer's, while nothing is given a name in it.
    /// Whatever was begun in the old folder fails, as it would be lost with it. Blocking.
    pub fn replacing<T>(&self, work: impl FnOnce() -> T) -> T {
        let naming = self.naming();
        let done = work();
        drop(naming);
        self.recount();
        done
    }

    fn naming(&self) -> MutexGuard<'_, ()> {
        self.0.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn root(&self) -> Result<Folder> {
        Folder::open_root(&self.0.data)
    }

    /// Fails when this is not the customer's folder any more; to be asked while nothing can replace it.
    fn must_be_root(&self, root: &Folder) -> Result<()> {
        let (now, then) = (at::stat(self.root()?, b".")?, at::stat(root, b".")?);
        let same = (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino);
        if same { Ok(()) } else { Err(Why::Restored.into()) }
    }
}
