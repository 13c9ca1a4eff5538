//! Uploads in parts: a file of many gigabytes over a connection that breaks. What has come stays, under the scratch folder,
//! until all of it has, or until nobody has sent anything for an hour.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::agent::{FileInfo, FilePath, FileUpload};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use super::{
    Files,
    error::{FileError, Result, Why},
    write::{Conditions, Upload},
};

/// Uploads in parts at once: each keeps room on the disk for its whole file.
const MOST: usize = 16;
/// After this time without a part an upload is given up.
const ABANDONED: Duration = Duration::from_hours(1);
/// One that stood still for so long gives way to a new one when there are too many.
const GIVES_WAY: Duration = Duration::from_mins(1);
/// How often abandoned ones are looked for.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long a part may take to let go once another one has come in its place.
const LET_GO: Duration = Duration::from_secs(10);

/// Those under way.
#[derive(Debug)]
pub struct Parts {
    known: Mutex<HashMap<Uuid, Arc<Part>>>,
    permits: Arc<Semaphore>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { known: Mutex::default(), permits: Arc::new(Semaphore::new(MOST)) }
    }
}

/// One of them.
#[derive(Debug)]
struct Part {
    id: Uuid,
    path: FilePath,
    size: u64,
    offset: AtomicU64,
    /// Empty once it was finished or could not be written.
    upload: tokio::sync::Mutex<Option<Box<Upload>>>,
    touched: Mutex<Instant>,
    /// Ends whoever sends a part at the moment.
    sender: Mutex<CancellationToken>,
}

impl Part {
    fn view(&self, file: Option<FileInfo>) -> FileUpload {
        FileUpload {
            id: self.id,
            path: self.path.to_string(),
            size: self.size,
            offset: self.offset.load(Ordering::SeqCst),
            file,
        }
    }

    fn touch(&self) {
        *lock(&self.touched) = Instant::now();
    }

    fn idle_for(&self) -> Duration {
        lock(&self.touched).elapsed()
    }
}

/// The right to send the next part. Whoever comes later takes it over: a client that has lost its connection comes back before
/// anybody has noticed.
#[derive(Debug)]
pub struct Sender {
    part: Arc<Part>,
    /// Says when somebody else has come.
    pub taken_over: CancellationToken,
}

impl Files {
    /// Begins an upload in parts of a file of `size` bytes.
    pub async fn begin_parts(
        &self,
        path: FilePath,
        size: u64,
        parents: bool,
        conditions: Conditions,
    ) -> Result<FileUpload> {
        let parts = &self.0.parts;
        let permit = if let Ok(permit) = Arc::clone(&parts.permits).try_acquire_owned() {
            permit
        } else {
            parts.make_room()?;
            let freed = timeout(LET_GO, Arc::clone(&parts.permits).acquire_owned()).await;
            freed.ok().and_then(std::result::Result::ok).ok_or(Why::TooMany)?
        };
        self.counted().await?;
        let (place, id) = (path.clone(), Uuid::now_v7());
        let upload = self.blocking(move |files| {
            let begun = Upload::begin(files, &place, Some(size), parents, conditions, Some(permit));
            begun.map_err(|error| error.at(&place))
        });
        let part = Arc::new(Part {
            id,
            path,
            size,
            offset: AtomicU64::new(0),
            upload: tokio::sync::Mutex::new(Some(Box::new(upload.await?))),
            touched: Mutex::new(Instant::now()),
            sender: Mutex::default(),
        });
        parts.known().insert(id, Arc::clone(&part));
        Ok(part.view(None))
    }

    /// How far an upload is.
    pub fn parts(&self, id: Uuid) -> Result<FileUpload> {
        Ok(self.0.parts.find(id)?.view(None))
    }

    /// Gives an upload up.
    pub fn cancel_parts(&self, id: Uuid) -> Result<()> {
        let part = self.0.parts.known().remove(&id).ok_or(Why::NoUpload)?;
        give_up(part);
        Ok(())
    }

    /// The right to send the next part, from whoever has it.
    pub fn send_part(&self, id: Uuid) -> Result<Sender> {
        let part = self.0.parts.find(id)?;
        part.touch();
        let taken_over = CancellationToken::new();
        std::mem::replace(&mut *lock(&part.sender), taken_over.clone()).cancel();
        Ok(Sender { part, taken_over })
    }

    /// Writes a part that begins at `offset`, as `receive` takes it in, and gives the file its name when all has come. What
    /// has come of a part that breaks off stays.
    pub async fn write_part<R>(
        &self,
        sender: &Sender,
        offset: u64,
        receive: impl FnOnce(Box<Upload>) -> R,
    ) -> Result<FileUpload>
    where
        R: Future<Output = Result<(Box<Upload>, Result<()>)>>,
    {
        let part = &sender.part;
        // Whoever sent before lets go as soon as it hears of us.
        let mut slot = timeout(LET_GO, part.upload.lock()).await.map_err(|_| Why::TooMany)?;
        let upload = slot.take().ok_or(Why::NoUpload)?;
        if upload.written() != offset {
            let written = upload.written();
            *slot = Some(upload);
            return Err(Why::WrongOffset(written).into());
        }
        let (upload, came) = receive(upload).await.inspect_err(|_| self.forget(part))?;
        part.offset.store(upload.written(), Ordering::SeqCst);
        part.touch();
        if upload.written() < part.size {
            *slot = Some(upload);
            came?;
            return Ok(part.view(None));
        }
        self.forget(part);
        let (file, _) = self.blocking(move |_| upload.finish()).await?;
        Ok(part.view(Some(file)))
    }

    fn forget(&self, part: &Part) {
        self.0.parts.known().remove(&part.id);
    }

    /// Gives up those that nobody goes on with, again and again.
    pub(super) async fn keep_giving_up(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.0.parts.give_up_abandoned(ABANDONED);
        }
    }
}

impl Sender {
    /// How many bytes are still to come of the whole file from `offset` on.
    pub fn left(&self, offset: u64) -> u64 {
        self.part.size.saturating_sub(offset)
    }
}

impl Parts {
    /// Gives up those without a part for `longest`.
    fn give_up_abandoned(&self, longest: Duration) {
        let abandoned = self.known().extract_if(|_, part| part.idle_for() > longest).collect::<Vec<_>>();
        for (id, part) in abandoned {
            info!(%id, "upload {id} is given up: nothing came of it for an hour; its room is free again");
            give_up(part);
        }
    }

    /// Gives up the one that has stood still longest, if there is one that nobody seems to be at.
    fn make_room(&self) -> Result<()> {
        let mut known = self.known();
        let idle = known.values().filter(|part| part.idle_for() > GIVES_WAY);
        let longest = idle.max_by_key(|part| part.idle_for()).map(|part| part.id);
        let part = longest.and_then(|id| known.remove(&id)).ok_or(Why::TooMany)?;
        drop(known);
        give_up(part);
        Ok(())
    }

    fn find(&self, id: Uuid) -> Result<Arc<Part>> {
        self.known().get(&id).cloned().ok_or_else(|| FileError::from(Why::NoUpload))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Part>>> {
        lock(&self.known)
    }
}

/// Whoever sends hears of it, and lets go of the last handle, with which the file goes.
fn give_up(part: Arc<Part>) {
    lock(&part.sender).cancel();
    // Removing the file may block.
    drop(spawn_blocking(move || drop(part)));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use domain::agent::{FilePath, RESERVED_PREFIX};
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn an_abandoned_upload_leaves_nothing_and_gives_its_room_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().to_owned(), watch::channel(None).1);
        let path = || FilePath::parse("big").unwrap();
        let begun = files.begin_parts(path(), 100, false, Conditions::default()).await.unwrap();
        let scratch = || {
            let entries = std::fs::read_dir(folder.path().join(".zlh-files")).unwrap();
            entries.count()
        };
        assert_eq!(scratch(), 1, "{RESERVED_PREFIX}");
        files.0.parts.give_up_abandoned(Duration::from_mins(1));
        assert!(files.parts(begun.id).is_ok(), "somebody is at it");
        files.0.parts.give_up_abandoned(Duration::ZERO);
        assert_eq!(files.parts(begun.id).unwrap_err().class().0, "upload_not_found");
        for _ in 0..500 {
            if scratch() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the file is still there");
    }

    #[tokio::test]
    async fn there_are_only_so_many_and_one_that_stands_still_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().to_owned(), watch::channel(None).1);
        let begin =
            async || files.begin_parts(FilePath::parse("x").unwrap(), 1, false, Conditions::default()).await;
        let first = begin().await.unwrap().id;
        for _ in 1..MOST {
            begin().await.unwrap();
        }
        assert_eq!(begin().await.unwrap_err().class().0, "too_many_at_once");
        *lock(&files.0.parts.find(first).unwrap().touched) -= GIVES_WAY * 2;
        begin().await.unwrap();
        assert!(files.parts(first).is_err(), "the one that stood still");
    }
}
