//! Goes through everything in a folder, without recursion and without following links. One handle is open for each
//! level, and there is a bound on levels.

use std::os::fd::{AsFd, BorrowedFd};

use domain::agent::{FilePath, PathError};
use rustix::fs::{Dir, FileType, Stat};

use super::{
    at,
    error::{FileError, Result, Why},
    scratch,
};

/// What to do about names that are no path: too deep, too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// Leave them out.
    Skip,
    /// End.
    Fail,
}

/// A walk under way: folders come before what is in them.
pub(super) struct Walk {
    levels: Vec<Level>,
    /// A folder that was given out and is to be entered next.
    enter: Option<(FilePath, Vec<u8>)>,
    odd: Odd,
    /// Whether the agent's own files are found as well.
    reserved: bool,
}

struct Level {
    entries: Dir,
    path: FilePath,
}

/// Something found.
pub(super) struct Entry<'w> {
    /// The folder it lies in.
    pub(super) folder: BorrowedFd<'w>,
    pub(super) name: Vec<u8>,
    /// Seen from where paths were to begin.
    pub(super) path: FilePath,
    pub(super) stat: Stat,
}

impl Walk {
    /// Through the entries of `folder`, whose own path is `path`.
    pub(super) fn new(folder: impl AsFd, path: FilePath, odd: Odd) -> Result<Self> {
        let entries = at::read_folder(folder, b".")?;
        Ok(Self { levels: vec![Level { entries, path }], enter: None, odd, reserved: false })
    }

    /// Goes through names of the agent's own too, except in its scratch folder.
    pub(super) fn with_reserved(self) -> Self {
        Self { reserved: true, ..self }
    }

    /// The next entry; what disappears meanwhile is left out, and so are the agent's own files.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'_>>> {
        self.enter()?;
        let (name, path, stat) = loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(entry) = level.entries.read() else {
                self.levels.pop();
                continue;
            };
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let top = level.path.is_root();
            let path = match level.path.join(name) {
                // Whoever asks for these has no use for their paths.
                Err(PathError::Reserved) if self.reserved && !(top && name == scratch::NAME) => {
                    level.path.join(b"_")
                }
                joined => joined,
            };
            let path = match path {
                Ok(path) => path,
                Err(error) if leaves_out(error) || self.odd == Odd::Skip => continue,
                Err(error) => return Err(FileError::from(error).at(&level.path)),
            };
            match at::find(level.entries.fd()?, name) {
                Ok(Some(stat)) => break (name.to_vec(), path, stat),
                Ok(None) => {}
                // A folder that may be read and not entered.
                Err(FileError { why: Why::NotPermitted, .. }) if self.odd == Odd::Skip => {}
                Err(error) => return Err(error.at(&path)),
            }
        };
        if at::kind(&stat) == FileType::Directory {
            self.enter = Some((path.clone(), name.clone()));
        }
        let level = self.levels.last().ok_or(Why::NotFound)?;
        Ok(Some(Entry { folder: level.entries.fd()?, name, path, stat }))
    }

    fn enter(&mut self) -> Result<()> {
        let (Some((path, name)), Some(level)) = (self.enter.take(), self.levels.last()) else {
            return Ok(());
        };
        match at::read_folder(level.entries.fd()?, &name) {
            Ok(entries) => self.levels.push(Level { entries, path }),
            // Deleted, or replaced by something else.
            Err(FileError { why: Why::NotFound | Why::NotAFolder | Why::IsLink, .. }) => {}
            Err(_) if self.odd == Odd::Skip => {}
            Err(error) => return Err(error.at(&path)),
        }
        Ok(())
    }
}

/// `.`, `..` and what is the agent's own.
fn leaves_out(error: PathError) -> bool {
    matches!(error, PathError::Dots | PathError::Reserved)
}
