//! An open folder, and the way from it to a path below. The kernel resolves the path itself and refuses every link on
//! it (openat2(2), RESOLVE_NO_SYMLINKS), so it does not matter what a game renames meanwhile.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use domain::agent::FilePath;
use rustix::{
    fs::{self, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{
    at,
    error::{Result, Why},
};

/// How often a path is resolved anew when folders are renamed at that moment.
const TRIES: usize = 64;

/// A handle that names a folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

/// A name in an open folder; there may be nothing of this name.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: Folder,
    pub(super) name: Vec<u8>,
}

impl From<OwnedFd> for Folder {
    fn from(handle: OwnedFd) -> Self {
        Self(handle)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Folder {
    /// The folder at a path of the agent's own. It is opened for each request: a restore may have put another there.
    pub(super) fn open_root(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(fs::open(path, flags, Mode::empty())?))
    }

    /// The folder at `path`.
    pub(super) fn folder(&self, path: &FilePath) -> Result<Self> {
        if path.is_root() {
            return at::open_folder(self, b".");
        }
        // Without O_NOFOLLOW, which would ask for the last link itself: as it is, one is refused for what it is.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            match fs::openat2(self, path.as_bytes(), flags, Mode::empty(), how) {
                Ok(handle) => return Ok(Self(handle)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Kernels before 5.6, and containers that do not let it through.
                Err(Errno::NOSYS | Errno::PERM) => return self.step_by_step(path),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Why::TooMany.into())
    }

    /// The same with one handle after the other.
    fn step_by_step(&self, path: &FilePath) -> Result<Self> {
        let start = at::open_folder(self, b".")?;
        path.components().try_fold(start, |folder, name| at::open_folder(&folder, name))
    }

    /// The name at `path`, in its folder.
    pub(super) fn place(&self, path: &FilePath) -> Result<Place> {
        let (folder, name) = path.split().ok_or(Why::Root)?;
        Ok(Place { folder: self.folder(&folder)?, name: name.to_vec() })
    }

    /// The folder at `path`, made with those above it where they are missing.
    pub(super) fn make(&self, path: &FilePath) -> Result<Self> {
        let start = at::open_folder(self, b".")?;
        path.components().try_fold(start, |folder, name| at::make_folder(&folder, name))
    }

    /// What was renamed into this folder stays so after a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        Ok(fs::fsync(at::read_folder(self, b".")?.fd()?)?)
    }
}
