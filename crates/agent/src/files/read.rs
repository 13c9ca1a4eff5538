//! Looking: lists, single files, content.

use std::{collections::BinaryHeap, fs::File, os::fd::AsFd};

use domain::agent::{FileInfo, FileKind, FileList, FilePath, check_name};
use rustix::fs::{FileType, Stat, readlinkat};

use super::{
    Files, at,
    error::{Result, Why},
};

/// Most entries of one answer.
pub const LONGEST_PAGE: usize = 1_000;
/// Longest target of a link that is shown, in bytes.
const LONGEST_TARGET: usize = 1_024;

/// An open file, and what it was when it was opened.
#[derive(Debug)]
pub struct Content {
    /// Its beginning is next.
    pub file: File,
    /// Size, time, tag.
    pub info: FileInfo,
}

/// Entries whose names come after `after`. However many there are, only a page of names is held at once.
pub(super) fn list(
    files: &Files,
    path: &FilePath,
    after: Option<&FilePath>,
    limit: usize,
) -> Result<FileList> {
    let limit = limit.clamp(1, LONGEST_PAGE);
    let after = after.and_then(FilePath::split).map(|(_, name)| name);
    let at_path = |error: super::error::FileError| error.at(path);
    let folder = files.root()?.folder(path).map_err(at_path)?;
    let mut entries = at::read_folder(&folder, b".").map_err(at_path)?;
    // The smallest names so far, the largest of them on top.
    let mut page: BinaryHeap<Vec<u8>> = BinaryHeap::with_capacity(limit + 2);
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let full = page.len() > limit && page.peek().is_some_and(|last| last.as_slice() <= name);
        if full || after.is_some_and(|after| name <= after) || check_name(name).is_err() {
            continue;
        }
        page.push(name.to_vec());
        if page.len() > limit + 1 {
            page.pop();
        }
    }
    let mut names = page.into_sorted_vec();
    let more = names.len() > limit;
    names.truncate(limit);
    let next = names.last().filter(|_| more).map(|last| path.join(last)).transpose()?;
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        // What was deleted meanwhile is not there, and what lies too deep has no path.
        let (Some(stat), Ok(path)) = (at::find(&folder, &name)?, path.join(&name)) else { continue };
        found.push(info(&folder, &name, &path, &stat));
    }
    Ok(FileList { entries: found, next: next.map(|next| next.to_string()) })
}

/// What a path stands for.
pub(super) fn stat(files: &Files, path: &FilePath) -> Result<FileInfo> {
    let root = files.root()?;
    if path.is_root() {
        let stat = at::stat(&root, b".")?;
        return Ok(info(&root, b".", path, &stat));
    }
    let place = root.place(path)?;
    let stat = at::stat(&place.folder, &place.name)?;
    Ok(info(&place.folder, &place.name, path, &stat))
}

/// A file, open for reading.
pub(super) fn content(files: &Files, path: &FilePath) -> Result<Content> {
    if path.is_root() {
        return Err(Why::IsFolder.into());
    }
    let place = files.root()?.place(path)?;
    let (file, stat) = at::open_file(&place.folder, &place.name)?;
    Ok(Content { file, info: info(&place.folder, &place.name, path, &stat) })
}

/// An entry as callers see it.
pub(super) fn info(folder: impl AsFd, name: &[u8], path: &FilePath, stat: &Stat) -> FileInfo {
    let kind = match at::kind(stat) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    };
    let target = (kind == FileKind::Link).then(|| {
        let mut target =
            readlinkat(folder, name, Vec::new()).map(std::ffi::CString::into_bytes).unwrap_or_default();
        target.truncate(LONGEST_TARGET);
        String::from_utf8_lossy(&target).into_owned()
    });
    let own_name = path.split().map(|(_, name)| String::from_utf8_lossy(name).into_owned());
    FileInfo {
        path: path.to_string(),
        name: own_name.unwrap_or_default(),
        kind,
        size: at::size(stat),
        mode: stat.st_mode & 0o7777,
        modified_ms: stat
            .st_mtime
            .saturating_mul(1_000)
            .saturating_add(i64::try_from(stat.st_mtime_nsec / 1_000_000).unwrap_or_default()),
        etag: (kind == FileKind::File).then(|| etag(stat)),
        target,
    }
}

/// Changes with every write: a replaced file has another inode, and writing into one changes its ctime, which nobody can
/// set back.
pub(super) fn etag(stat: &Stat) -> String {
    format!("{:x}-{:x}-{:x}.{:x}", stat.st_ino, stat.st_size, stat.st_ctime, stat.st_ctime_nsec)
}
