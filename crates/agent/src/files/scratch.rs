//! Where unfinished things lie: a folder of the agent's own in the customer's, because renaming works within one file
//! system only. Nothing in it is ever shown; what an agent that was killed left there is cleared away.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{self, AtFlags, Mode};
use tracing::warn;

use super::{
    at,
    error::{FileError, Result, Why},
    folder::Folder,
    remove,
};

/// Its name; see [`domain::agent::RESERVED_PREFIX`].
pub const NAME: &[u8] = b".zlh-files";

/// Gives out names in the scratch folder.
#[derive(Debug, Default)]
pub(super) struct ScratchNames {
    next: AtomicU64,
    live: Mutex<HashSet<String>>,
}

/// Something unfinished; removed when dropped, unless it has been moved away.
#[derive(Debug)]
pub(super) struct Scratch {
    /// The scratch folder.
    pub(super) home: Folder,
    pub(super) name: String,
    names: Arc<ScratchNames>,
}

impl ScratchNames {
    /// A name for something that is not there yet.
    pub(super) fn take(self: &Arc<Self>, root: &Folder) -> Result<Scratch> {
        loop {
            let home = home(root)?;
            let name = self.fresh();
            self.live().insert(name.clone());
            let scratch = Scratch { home, name, names: Arc::clone(self) };
            if at::find(&scratch.home, scratch.name.as_bytes())?.is_none() {
                return Ok(scratch);
            }
            // Left from an earlier life: dropping it here clears it away, and the next name is tried.
        }
    }

    /// A number that was not used before in this life of the agent.
    pub(super) fn fresh(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Removes what nobody works on.
    pub(super) fn clear(&self, root: &Folder) -> Result<()> {
        if at::find(root, NAME)?.is_none() {
            return Ok(());
        }
        let home = home(root)?;
        let mut entries = at::read_folder(&home, b".")?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let ours = std::str::from_utf8(name).is_ok_and(|name| self.live().contains(name));
            if !ours && name != b"." && name != b".." {
                remove::tree(&home, name, self)?;
            }
        }
        Ok(())
    }

    fn live(&self) -> MutexGuard<'_, HashSet<String>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open scratch folder. A game may have put something else in its place.
fn home(root: &Folder) -> Result<Folder> {
    for _ in 0..8 {
        match fs::mkdirat(root, NAME, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        match at::open_folder(root, NAME) {
            Err(FileError { why: Why::NotAFolder | Why::IsLink, .. }) => {
                // An error shows at the next try.
                let _ = fs::unlinkat(root, NAME, AtFlags::empty());
            }
            Err(FileError { why: Why::NotFound, .. }) => {}
            opened => return opened,
        }
    }
    Err(Why::NotPermitted.into())
}

impl Scratch {
    /// Removes it now; the bytes that this gave back.
    pub(super) fn remove(&self) -> Result<u64> {
        remove::tree(&self.home, self.name.as_bytes(), &self.names)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            warn!(%error, "something unfinished could not be removed yet and still takes up space: {error}");
        }
        self.names.live().remove(&self.name);
    }
}
