//! Goes through the data folder by directory handles, in the order of names, following no link.

use std::{
    ffi::{CString, OsStr},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::{
    fs::{AtFlags, CWD, FileType, OFlags, Stat, fstat, readlinkat, statat},
    io::Errno,
};

use super::super::{
    error::BackupError,
    folder::{Entered, names, open_file},
    manifest::{Name, Skip, Time},
};
use crate::{files, install};

/// Most folders below one another. No software that we know comes near it.
const MAX_DEPTH: usize = 200;

/// Our own folders in the data folder: unfinished files, which are nobody's.
const OURS: [&[u8]; 2] = [install::files::SCRATCH.as_bytes(), files::SCRATCH];

/// What is found.
pub(super) enum Content {
    /// A folder; what is in it follows.
    Folder(Stat),
    /// An open file, and what was known of it then.
    File(std::fs::File, Stat),
    /// A link and its target.
    Link(Stat, Name),
    /// Something that does not go into an archive.
    Skipped(Skip),
}

/// Patterns as in `.gitignore`.
pub(super) fn patterns(lines: &[String]) -> Result<Gitignore, BackupError> {
    let wrong =
        |error: ignore::Error| BackupError::Invalid(format!("An ignore pattern makes no sense: {error}"));
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder.add_line(None, line).map_err(wrong)?;
    }
    builder.build().map_err(wrong)
}

struct Level {
    entered: Entered,
    /// Last name first.
    left: Vec<CString>,
    path_length: usize,
}

/// Shows `visit` everything in `root` that no pattern ignores, folders before what is in them.
pub(super) fn walk(
    root: &Path,
    ignored: &Gitignore,
    mut visit: impl FnMut(&Name, Content) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let at = |path: &Name, errno: Errno| BackupError::at(path.to_string(), errno.into());
    let mut path = Name::default();
    let name = CString::new(root.as_os_str().as_bytes()).map_err(|_| at(&path, Errno::INVAL))?;
    let entered = Entered::open(CWD, &name, OFlags::empty()).map_err(|errno| at(&path, errno))?;
    visit(&path, Content::Folder(entered.about))?;
    let left = last_first(&entered.folder).map_err(|error| BackupError::at(".", error))?;
    let mut open = vec![Level { entered, left, path_length: 0 }];
    while let Some(level) = open.last_mut() {
        path.0.truncate(level.path_length);
        let Some(name) = level.left.pop() else {
            open.pop();
            continue;
        };
        if level.path_length > 0 {
            path.0.push(b'/');
        } else if OURS.contains(&name.as_bytes()) {
            continue;
        }
        path.0.extend_from_slice(name.as_bytes());
        let about = match statat(&level.entered.folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => about,
            Err(errno) => {
                visit(&path, Content::Skipped(why(&errno.into()).map_err(|errno| at(&path, errno))?))?;
                continue;
            }
        };
        let kind = FileType::from_raw_mode(about.st_mode);
        if ignored.matched(Path::new(OsStr::from_bytes(&path.0)), kind == FileType::Directory).is_ignore() {
            continue;
        }
        if kind != FileType::Directory {
            let found = look(&level.entered.folder, &name, kind, about).map_err(|errno| at(&path, errno))?;
            visit(&path, found)?;
            continue;
        }
        if open.len() >= MAX_DEPTH {
            visit(&path, Content::Skipped(Skip::TooDeep))?;
            continue;
        }
        let above = &open[open.len() - 1].entered.folder;
        let entered = Entered::open(above, &name, OFlags::NOFOLLOW).map_err(io::Error::from);
        match entered.and_then(|entered| Ok((last_first(&entered.folder)?, entered))) {
            Ok((left, entered)) => {
                visit(&path, Content::Folder(entered.about))?;
                open.push(Level { entered, left, path_length: path.0.len() });
            }
            Err(error) => visit(&path, Content::Skipped(why(&error).map_err(|errno| at(&path, errno))?))?,
        }
    }
    Ok(())
}

/// Why something could not be opened, when that may be so.
fn why(error: &io::Error) -> Result<Skip, Errno> {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(Skip::Vanished),
        Some(Errno::ACCESS | Errno::PERM) => Ok(Skip::Unreadable),
        other => Err(other.unwrap_or(Errno::IO)),
    }
}

fn look(folder: &OwnedFd, name: &CString, kind: FileType, about: Stat) -> Result<Content, Errno> {
    match kind {
        FileType::RegularFile => {
            let file = match open_file(folder, name) {
                Ok(file) => file,
                Err(errno) => return why(&errno.into()).map(Content::Skipped),
            };
            let about = fstat(&file)?;
            if FileType::from_raw_mode(about.st_mode) == FileType::RegularFile {
                Ok(Content::File(file.into(), about))
            } else {
                Ok(Content::Skipped(Skip::Vanished))
            }
        }
        FileType::Symlink => match readlinkat(folder, name, Vec::new()) {
            Ok(target) => Ok(Content::Link(about, Name(target.into_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(Content::Skipped(Skip::Vanished)),
            Err(errno) => Err(errno),
        },
        _ => Ok(Content::Skipped(Skip::Special)),
    }
}

/// The names in a folder, the last one first.
fn last_first(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = names(folder)?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// When the content last changed.
pub(super) fn mtime(about: &Stat) -> Time {
    (about.st_mtime, u32::try_from(about.st_mtime_nsec).unwrap_or(0))
}
