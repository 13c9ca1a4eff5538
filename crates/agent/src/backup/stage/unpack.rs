//! Unpacks an archive into a folder of our own, entry by entry as the manifest says, through directory handles. Only
//! folders that it has made itself are entered, so no path can leave, whatever an archive holds.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use ring::digest::{Context, SHA256};
use rustix::{
    fs::{
        AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, fchmod, ftruncate, futimens, mkdirat, openat,
        symlinkat, utimensat,
    },
    io::Errno,
};
use tar::{Entries, EntryType};
use tokio_util::sync::CancellationToken;

use super::super::{
    error::BackupError,
    manifest::{Entry, Name, Time},
};

/// Bytes written at once, and the grain of holes.
const CHUNK: usize = 128 * 1024;
/// Most folders below one another; archives of ours have fewer.
const MAX_DEPTH: usize = 256;

/// A folder being filled. It gets its mode and its time when it is left: until then it must be writable.
struct Level {
    folder: OwnedFd,
    path: Vec<u8>,
    mode: u32,
    mtime: Time,
}

/// What unpacks.
pub(super) struct Unpacker<'u, 'a, R: Read> {
    archive: Entries<'a, R>,
    root: &'u Path,
    open: Vec<Level>,
    chunk: Vec<u8>,
    cancel: &'u CancellationToken,
    /// Bytes of files so far.
    pub(super) written: u64,
}

impl<'u, 'a, R: Read> Unpacker<'u, 'a, R> {
    /// Into `root`, which is not there yet.
    pub(super) fn new(archive: Entries<'a, R>, root: &'u Path, cancel: &'u CancellationToken) -> Self {
        Self { archive, root, open: Vec::new(), chunk: vec![0; CHUNK], cancel, written: 0 }
    }

    /// Takes the archive's next entry, which must be the one that the manifest has.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), BackupError> {
        if self.cancel.is_cancelled() {
            return Err(BackupError::Aborted);
        }
        match entry {
            Entry::Skipped { .. } => Ok(()),
            Entry::Folder { path, mode, mtime } => self.folder(path, *mode, *mtime),
            Entry::Link { path, mtime, target } => self.link(path, *mtime, target),
            Entry::File { path, .. } => self.file(path, entry),
        }
    }

    /// Leaves all folders. The archive must be at its end.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        while let Some(level) = self.open.pop() {
            level.leave()?;
        }
        match self.archive.next() {
            None => Ok(()),
            Some(Ok(_)) => Err(corrupt("its archive has more than its manifest")),
            Some(Err(error)) => Err(damaged(&error)),
        }
    }

    fn next(&mut self, path: &Name, kind: EntryType, size: u64) -> Result<tar::Entry<'a, R>, BackupError> {
        let entry = match self.archive.next() {
            None => return Err(corrupt("its archive ends too early")),
            Some(entry) => entry.map_err(|error| damaged(&error))?,
        };
        let named = entry.path_bytes();
        let named = named.strip_suffix(b"/").unwrap_or(&named);
        let named = if named == b"." { b"" } else { named };
        if named != path.0 || entry.header().entry_type() != kind || entry.size() != size {
            let what = format!("its archive and its manifest do not agree about {path}");
            return Err(BackupError::Corrupt(what));
        }
        drop(entry.path_bytes());
        Ok(entry)
    }

    /// The open folder that `path` lies in, and its name there.
    fn place<'p>(&mut self, path: &'p Name) -> Result<(&OwnedFd, &'p OsStr), BackupError> {
        let (above, name) = match path.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path.0[..slash], &path.0[slash + 1..]),
            None => (&[][..], &path.0[..]),
        };
        if matches!(name, b"" | b"." | b"..") || name.contains(&0) {
            return Err(refused(path));
        }
        while self.open.last().is_some_and(|level| level.path != above) {
            self.open.pop().map_or(Ok(()), Level::leave)?;
        }
        let level = self.open.last().ok_or_else(|| refused(path))?;
        Ok((&level.folder, OsStr::from_bytes(name)))
    }

    fn folder(&mut self, path: &Name, mode: u32, mtime: Time) -> Result<(), BackupError> {
        drop(self.next(path, EntryType::Directory, 0)?);
        let at = |errno: Errno| BackupError::at(path.to_string(), errno.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = if path.0.is_empty() {
            if !self.open.is_empty() {
                return Err(refused(path));
            }
            mkdirat(CWD, self.root, Mode::RWXU).and_then(|()| openat(CWD, self.root, flags, Mode::empty()))
        } else {
            let (above, name) = self.place(path)?;
            mkdirat(above, name, Mode::RWXU).and_then(|()| openat(above, name, flags, Mode::empty()))
        };
        if self.open.len() >= MAX_DEPTH {
            return Err(refused(path));
        }
        self.open.push(Level { folder: folder.map_err(at)?, path: path.0.clone(), mode, mtime });
        Ok(())
    }

    fn link(&mut self, path: &Name, mtime: Time, target: &Name) -> Result<(), BackupError> {
        let entry = self.next(path, EntryType::Symlink, 0)?;
        if entry.link_name_bytes().is_none_or(|stored| *stored != target.0[..]) || target.0.contains(&0) {
            return Err(BackupError::Corrupt(format!(
                "the link {path} leads elsewhere than its manifest says"
            )));
        }
        let (above, name) = self.place(path)?;
        symlinkat(OsStr::from_bytes(&target.0), above, name)
            .and_then(|()| utimensat(above, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|errno| BackupError::at(path.to_string(), errno.into()))
    }

    fn file(&mut self, path: &Name, entry: &Entry) -> Result<(), BackupError> {
        let Entry::File { mode, mtime, size, sha256, sparse, .. } = entry else { return Ok(()) };
        let mut archived = self.next(path, EntryType::Regular, *size)?;
        let at = |error| BackupError::at(path.to_string(), error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (above, name) = self.place(path)?;
        let file = openat(above, name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| at(errno.into()))?;
        let mut file = File::from(file);
        let (mut hash, mut left) = (Context::new(&SHA256), *size);
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let chunk = &mut self.chunk[..want];
            archived.read_exact(chunk).map_err(|error| damaged(&error))?;
            hash.update(chunk);
            if *sparse && chunk.iter().all(|byte| *byte == 0) {
                let hole = i64::try_from(want).unwrap_or(0);
                io::Seek::seek(&mut file, io::SeekFrom::Current(hole)).map_err(at)?;
            } else {
                file.write_all(chunk).map_err(at)?;
            }
            left -= want as u64;
            self.written += want as u64;
            if self.cancel.is_cancelled() {
                return Err(BackupError::Aborted);
            }
        }
        if hex::encode(hash.finish()) != *sha256 {
            return Err(BackupError::Corrupt(format!("the checksum of {path} is wrong")));
        }
        if *sparse {
            ftruncate(&file, *size).map_err(|errno| at(errno.into()))?;
        }
        dress(&file, *mode, *mtime).map_err(|errno| at(errno.into()))
    }
}

impl Level {
    fn leave(self) -> Result<(), BackupError> {
        let path = String::from_utf8_lossy(&self.path).into_owned();
        dress(&self.folder, self.mode, self.mtime).map_err(|errno| BackupError::at(path, errno.into()))
    }
}

fn dress(of: impl std::os::fd::AsFd, mode: u32, mtime: Time) -> Result<(), Errno> {
    fchmod(&of, Mode::from_raw_mode(mode & 0o7777))?;
    futimens(&of, &times(mtime))
}

fn times((seconds, nanoseconds): Time) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn corrupt(what: &str) -> BackupError {
    BackupError::Corrupt(what.to_owned())
}

fn damaged(error: &io::Error) -> BackupError {
    BackupError::Corrupt(format!("its archive cannot be read ({error})"))
}

fn refused(path: &Name) -> BackupError {
    BackupError::Corrupt(format!("{path} does not lie in the server's folder"))
}
