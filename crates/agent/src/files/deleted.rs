//! Folders that were deleted: out of sight, and removed by and by, since nobody knows how much is in them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
    time::timeout_at,
};
use tracing::warn;

use super::{
    Files,
    error::{FileError, Result},
    scratch::Scratch,
};

/// Most folders that wait to be removed: each holds a handle.
const WAITING: usize = 64;
/// Most folders that are removed at once.
const AT_ONCE: usize = 2;
/// Longest that whoever deletes waits for the room that this makes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bounds what is removed behind requests.
#[derive(Clone, Debug)]
pub(super) struct Deleted {
    waiting: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Ends when a folder is gone.
pub(super) type Gone = oneshot::Receiver<()>;

impl Default for Deleted {
    fn default() -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING)), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Files {
    /// Removes a folder that was moved to the scratch folder: later, unless too many wait already. Blocking.
    pub(super) fn remove_later(&self, folder: Scratch) -> Result<Option<Gone>> {
        let Ok(place) = Arc::clone(&self.0.deleted.waiting).try_acquire_owned() else {
            self.0.quota.free(folder.remove()?);
            return Ok(None);
        };
        let (tell, gone) = oneshot::channel();
        let (files, turns) = (self.clone(), Arc::clone(&self.0.deleted.turns));
        tokio::spawn(async move {
            let begun = Instant::now();
            let _turn = turns.acquire_owned().await;
            let again = files.clone();
            let removed = spawn_blocking(move || {
                let _place = place;
                again.0.quota.free(folder.remove()?);
                Ok::<_, FileError>(())
            });
            match removed.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(%error, "a deleted folder could not be removed yet and still takes up space: {error}");
                }
                Err(error) => {
                    warn!(%error, "removing a deleted folder failed; it still takes up space: {error}");
                }
            }
            if begun.elapsed() > PATIENCE {
                // A count under way may have left it out already.
                files.recount();
            }
            // Nobody may wait any more.
            let _ = tell.send(());
        });
        Ok(Some(gone))
    }
}

/// Waits for folders to be gone, but not for long.
pub(super) async fn wait_for(folders: Vec<Gone>) {
    let end = tokio::time::Instant::now() + PATIENCE;
    for gone in folders {
        // Gone, not to be removed, or too large to be waited for.
        let _ = timeout_at(end, gone).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use domain::agent::FileChange;
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn a_folder_that_takes_long_to_remove_is_out_of_sight_at_once_and_removed_later() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("world")).unwrap();
        fs::write(data.path().join("world/region"), [0; 1_000]).unwrap();
        let (_spec, specs) = watch::channel(None);
        let files = Files::open(data.path().to_owned(), specs);
        assert_eq!(files.usage().await.unwrap().used_bytes, 1_000);
        // Others are being removed.
        let turns = Arc::clone(&files.0.deleted.turns).acquire_many_owned(2).await.unwrap();
        files.change(FileChange::Delete { paths: vec!["world".into()] }).await.unwrap();
        let scratch = data.path().join(".zlh-files");
        assert!(!data.path().join("world").exists());
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 1, "it is still there");
        drop(turns);
        let removed = async {
            while fs::read_dir(&scratch).unwrap().count() > 0 || files.usage().await.unwrap().used_bytes > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), removed).await.unwrap();
    }
}
