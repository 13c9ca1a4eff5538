//! A tree in the making, beside the customer's files: filled entry by entry, moved to its place when it is whole.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::AsFd,
};

use domain::agent::FilePath;
use rustix::fs::{self, AtFlags, Stat, Timespec, Timestamps};

use super::Work;
use crate::files::{
    Files, at,
    error::{FileError, Result, Why},
    folder::Folder,
    quota::Reservation,
    scratch::Scratch,
};

/// Bytes copied at once.
const CHUNK: usize = 256 * 1024;

/// A tree that nobody sees yet; gone when dropped, but for what was moved out of it.
pub(super) struct Staging<'w> {
    /// Removes it.
    _scratch: Scratch,
    /// The tree itself.
    pub(super) folder: Folder,
    work: &'w Work,
    reservation: Reservation,
    written: u64,
    /// Permissions and times of folders: set last, as filling them changes both.
    folders: Vec<(FilePath, Look)>,
    /// The folder that the entry before lies in; most entries lie in the same.
    nearest: Option<(FilePath, Folder)>,
}

/// Permissions and time of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) mode: u32,
    /// Time of the last change of the content.
    pub(super) modified: Timespec,
}

impl Look {
    pub(super) fn of(stat: &Stat) -> Self {
        let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
        Self { mode: stat.st_mode, modified: Timespec { tv_sec: stat.st_mtime, tv_nsec: nanos } }
    }

    fn times(self) -> Timestamps {
        Timestamps { last_access: self.modified, last_modification: self.modified }
    }
}

impl<'w> Staging<'w> {
    pub(super) fn new(files: &Files, root: &Folder, work: &'w Work) -> Result<Self> {
        let scratch = files.0.scratch.take(root)?;
        let folder = at::make_folder(&scratch.home, scratch.name.as_bytes())?;
        let reservation = files.0.quota.reserve(0)?;
        Ok(Self {
            _scratch: scratch,
            folder,
            work,
            reservation,
            written: 0,
            folders: Vec::new(),
            nearest: None,
        })
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// A folder, and those above it.
    pub(super) fn add_folder(&mut self, path: &FilePath, look: Option<Look>) -> Result<()> {
        self.folder.make(path)?;
        if let Some(look) = look {
            self.folders.push((path.clone(), look));
        }
        self.work.handled_entry()
    }

    /// A link with this target, whatever that is: nobody follows it here.
    pub(super) fn add_link(&mut self, path: &FilePath, target: &[u8]) -> Result<()> {
        let (folder, name) = path.split().ok_or(Why::Root)?;
        fs::symlinkat(target, self.parent(&folder)?, name)?;
        self.work.handled_entry()
    }

    /// A file with what `content` has; the folders above it are made. A file of that name is replaced.
    pub(super) fn add_file(&mut self, path: &FilePath, look: Look, mut content: impl Read) -> Result<u64> {
        let (folder, name) = path.split().ok_or(Why::Root)?;
        let mut file = self.create(&folder, name)?;
        let before = self.written;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match content.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.reserve(read as u64)?;
            file.write_all(&chunk[..read])?;
        }
        finish(&file, look)?;
        self.work.handled_entry()?;
        Ok(self.written - before)
    }

    /// A copy of an open file; the kernel does the copying.
    pub(super) fn copy_file(&mut self, path: &FilePath, look: Look, from: &File) -> Result<()> {
        let (folder, name) = path.split().ok_or(Why::Root)?;
        let file = self.create(&folder, name)?;
        self.copy_into(&file, look, from)
    }

    /// The same, into a file of the caller's.
    pub(super) fn copy_into(&mut self, file: &File, look: Look, from: &File) -> Result<()> {
        loop {
            let copied = std::io::copy(&mut from.take(32 * CHUNK as u64), &mut &*file)?;
            if copied == 0 {
                break;
            }
            // After the fact, and before the next: a copy may pass the limit by one piece that is removed again.
            self.reserve(copied)?;
        }
        finish(file, look)?;
        self.work.handled_entry()
    }

    /// Everything is on disk, with its permissions and times; and how many bytes there are. Nothing may be added.
    pub(super) fn complete(&mut self) -> Result<()> {
        self.nearest = None;
        for (path, look) in self.folders.drain(..).rev() {
            let (above, name) = match path.split() {
                Some((above, name)) => (self.folder.folder(&above)?, name),
                None => (at::open_folder(&self.folder, b".")?, &b"."[..]),
            };
            let mut folder = at::read_folder(&above, name)?;
            fs::futimens(folder.fd()?, &look.times())?;
            fs::fchmod(folder.fd()?, at::plain_mode(look.mode, 0o700))?;
            folder.rewind();
        }
        // Once for all: a sync of each would take minutes for ten thousand small files.
        Ok(fs::syncfs(at::read_folder(&self.folder, b".")?.fd()?)?)
    }

    /// Makes sure that there is room for what was written when `removed` bytes have gone.
    pub(super) fn commit(self, removed: u64) {
        self.reservation.commit(self.written, removed);
    }

    fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.written = self.written.saturating_add(bytes);
        self.reservation.grow_to(self.written)?;
        self.work.handled_bytes(bytes)
    }

    fn create(&mut self, folder: &FilePath, name: &[u8]) -> Result<File> {
        let parent = self.parent(folder)?;
        match at::create_file(parent, name) {
            Err(FileError { why: Why::AlreadyExists, .. }) => {
                fs::unlinkat(parent, name, AtFlags::empty())?;
                at::create_file(parent, name)
            }
            created => created,
        }
    }

    fn parent(&mut self, path: &FilePath) -> Result<&Folder> {
        if self.nearest.as_ref().is_none_or(|(nearest, _)| nearest != path) {
            self.nearest = None;
        }
        match &mut self.nearest {
            Some((_, folder)) => Ok(folder),
            none => {
                let folder = self.folder.make(path)?;
                Ok(&none.insert((path.clone(), folder)).1)
            }
        }
    }
}

fn finish(file: impl AsFd, look: Look) -> Result<()> {
    fs::fchmod(&file, at::plain_mode(look.mode, 0o600))?;
    Ok(fs::futimens(&file, &look.times())?)
}
