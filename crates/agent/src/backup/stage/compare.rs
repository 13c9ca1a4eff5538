//! Compares an unpacked backup with its manifest, by reading it again.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use ring::digest::{Context, SHA256};
use tokio_util::sync::CancellationToken;

use super::super::{
    error::BackupError,
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

fn about(root: &Path, path: &Name) -> io::Result<fs::Metadata> {
    fs::symlink_metadata(root.join(OsStr::from_bytes(&path.0)))
}

fn mtime(about: &fs::Metadata) -> Time {
    (about.mtime(), u32::try_from(about.mtime_nsec()).unwrap_or(0))
}

fn folder(root: &Path, path: &Name, mode: u32, time: Time) -> io::Result<bool> {
    let about = about(root, path)?;
    Ok(about.is_dir() && about.mode() & 0o7777 == mode && mtime(&about) == time)
}

fn link(root: &Path, path: &Name, time: Time, target: &Name) -> io::Result<bool> {
    let about = about(root, path)?;
    let leads_to = fs::read_link(root.join(OsStr::from_bytes(&path.0)))?;
    Ok(mtime(&about) == time && leads_to.as_os_str().as_bytes() == target.0)
}

fn file(root: &Path, path: &Name, entry: &Entry, cancel: &CancellationToken) -> io::Result<bool> {
    let Entry::File { mode, mtime: time, size, sha256, .. } = entry else { return Ok(false) };
    let about = about(root, path)?;
    if !about.is_file() || about.mode() & 0o7777 != *mode || mtime(&about) != *time || about.len() != *size {
        return Ok(false);
    }
    let mut file = File::open(root.join(OsStr::from_bytes(&path.0)))?;
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
