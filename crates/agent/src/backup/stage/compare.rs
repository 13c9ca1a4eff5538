//! Compares an unpacked backup with its manifest, by reading it again.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::Path,
};

use ring::digest::{Context, SHA256};
use rustix::fs::{AtFlags, CWD, FileType, OFlags, Stat, readlinkat, statat};
use tokio_util::sync::CancellationToken;

use super::super::{
    error::BackupError,
    folder::{Entered, open_file},
    manifest::{Entry, Name, Time},
};

const CHUNK: usize = 128 * 1024;

/// Fails unless what lies in `root` is what the entry says.
pub(super) fn compare(root: &Path, entry: &Entry, cancel: &CancellationToken) -> Result<(), BackupError> {
    let (path, same) = match entry {
        Entry::Skipped { .. } => return Ok(()),
        Entry::Folder { path, mode, mtime } => (path, folder(root, path, *mode, *mtime)),
        Entry::Link { path, mtime, target } => (path, link(root, path, *mtime, target)),
        Entry::File { path, .. } => (path, file(root, path, entry, cancel)),
    };
    if cancel.is_cancelled() {
        return Err(BackupError::Aborted);
    }
    if same.map_err(|error| BackupError::at(path.to_string(), error))? {
        Ok(())
    } else {
        Err(BackupError::Corrupt(format!("{path} is not what its manifest says")))
    }
}

/// Where an entry lies: the folders above it, entered whatever their owner has denied itself, and its name in the last.
struct Place {
    above: Vec<Entered>,
    name: CString,
}

impl Place {
    fn of(root: &Path, path: &Name) -> io::Result<Self> {
        let mut names = path.0.split(|byte| *byte == b'/').map(CString::new);
        let name = names.next_back().transpose()?.unwrap_or_default();
        let first = Entered::open(CWD, &CString::new(root.as_os_str().as_encoded_bytes())?, OFlags::empty())?;
        let mut above = vec![first];
        for name in names {
            above.push(Entered::open(folder_of(&above), &name?, OFlags::NOFOLLOW)?);
        }
        // The root itself is named by nothing.
        let name = if name.is_empty() { c".".to_owned() } else { name };
        Ok(Self { above, name })
    }

    fn folder(&self) -> &OwnedFd {
        folder_of(&self.above)
    }

    fn about(&self) -> io::Result<Stat> {
        match self.above.as_slice() {
            // As it is without having been entered.
            [root] if self.name.as_bytes() == b"." => Ok(root.about),
            _ => Ok(statat(self.folder(), &self.name, AtFlags::SYMLINK_NOFOLLOW)?),
        }
    }
}

fn folder_of(above: &[Entered]) -> &OwnedFd {
    &above.last().expect("the root is always there").folder
}

fn is(about: &Stat, kind: FileType, mode: Option<u32>, time: Time) -> bool {
    let mtime = (about.st_mtime, u32::try_from(about.st_mtime_nsec).unwrap_or(0));
    FileType::from_raw_mode(about.st_mode) == kind
        && mode.is_none_or(|mode| about.st_mode & 0o7777 == mode)
        && mtime == time
}

fn folder(root: &Path, path: &Name, mode: u32, time: Time) -> io::Result<bool> {
    Ok(is(&Place::of(root, path)?.about()?, FileType::Directory, Some(mode), time))
}

fn link(root: &Path, path: &Name, time: Time, target: &Name) -> io::Result<bool> {
    let place = Place::of(root, path)?;
    if !is(&place.about()?, FileType::Symlink, None, time) {
        return Ok(false);
    }
    Ok(readlinkat(place.folder(), &place.name, Vec::new())?.as_bytes() == target.0)
}

fn file(root: &Path, path: &Name, entry: &Entry, cancel: &CancellationToken) -> io::Result<bool> {
    let Entry::File { mode, mtime, size, sha256, .. } = entry else { return Ok(false) };
    let place = Place::of(root, path)?;
    let about = place.about()?;
    if !is(&about, FileType::RegularFile, Some(*mode), *mtime) || u64::try_from(about.st_size) != Ok(*size) {
        return Ok(false);
    }
    let mut file = File::from(open_file(place.folder(), &place.name)?);
    let (mut hash, mut chunk) = (Context::new(&SHA256), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(hash.finish()) == *sha256),
            length => hash.update(&chunk[..length]),
        }
        if cancel.is_cancelled() {
            return Ok(false);
        }
    }
}
