//! One change at a time per container: an async lock among this process's tasks, a file lock among processes.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::ids::InstanceId;
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};

use super::{EngineError, io};

/// How long to wait for another process; longer than a stop's usual grace.
const DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(10);

type AsyncLock = Arc<tokio::sync::Mutex<()>>;

/// The locks of all containers.
#[derive(Debug)]
pub(super) struct Locks {
    folder: PathBuf,
    tasks: Mutex<HashMap<InstanceId, AsyncLock>>,
}

/// Held while a container is changed. The file is closed, and so unlocked, before the next task is let in.
pub(super) struct Held {
    _file: File,
    _task: OwnedMutexGuard<()>,
}

impl Locks {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, tasks: Mutex::default() }
    }

    /// Waits for its turn.
    pub(super) async fn acquire(&self, id: InstanceId) -> Result<Held, EngineError> {
        let task = self.task_lock(id).lock_owned().await;
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(file) = self.try_file(id)? {
                return Ok(Held { _file: file, _task: task });
            }
            if Instant::now() > deadline {
                let reason = format!("another process has held the lock for {} s", DEADLINE.as_secs());
                return Err(EngineError::Transient { action: "change a container", reason });
            }
            sleep(POLL).await;
        }
    }

    /// The lock, if nobody holds it.
    pub(super) fn try_acquire(&self, id: InstanceId) -> Result<Option<Held>, EngineError> {
        let Ok(task) = self.task_lock(id).try_lock_owned() else { return Ok(None) };
        Ok(self.try_file(id)?.map(|file| Held { _file: file, _task: task }))
    }

    /// Removes the lock file of a deleted container; its holder calls this.
    pub(super) fn forget(&self, id: InstanceId) {
        // What remains is an empty file, and the next delete removes it.
        let _ = std::fs::remove_file(self.path(id));
    }

    fn path(&self, id: InstanceId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn task_lock(&self, id: InstanceId) -> AsyncLock {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|_, lock| Arc::strong_count(lock) > 1);
        tasks.entry(id).or_default().clone()
    }

    fn try_file(&self, id: InstanceId) -> Result<Option<File>, EngineError> {
        let path = self.path(id);
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(io("open a container's lock"))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(io("lock a container")(error)),
            Ok(()) => {}
        }
        // The holder before us may have removed the file: then this is a lock on nothing.
        let current = std::fs::metadata(&path).map(|meta| meta.ino()).ok();
        let ours = file.metadata().map(|meta| meta.ino()).ok();
        Ok((current == ours).then_some(file))
    }
}
