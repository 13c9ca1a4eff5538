//! Uploads: written beside, moved to their name when they are whole and on disk. One that breaks off leaves nothing.

use std::{fs::File, io::Write};

use domain::agent::{FileInfo, FilePath};
use rustix::fs::{self, FileType, Stat};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::bytes::Bytes;

use super::{
    Files, at,
    error::{FileError, Result, Why},
    folder::{Folder, Place},
    quota::Reservation,
    read,
    scratch::Scratch,
};

/// Permissions of a file that was not there.
const NEW_MODE: u32 = 0o644;

/// What has to be true of the file that is replaced (RFC 9110, 13.1).
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// `If-Match`: it has one of these tags; an empty list is `*`, any file at all.
    pub matches: Option<Vec<String>>,
    /// `If-None-Match: *`: there is none.
    pub absent: bool,
}

impl Conditions {
    fn check(&self, found: Option<&Stat>) -> Result<()> {
        let holds = match (&self.matches, found) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(tags), Some(found)) => tags.is_empty() || tags.contains(&read::etag(found)),
        };
        if holds && !(self.absent && found.is_some()) { Ok(()) } else { Err(Why::PreconditionFailed.into()) }
    }
}

/// An upload under way; nothing of it stays when it is dropped.
#[derive(Debug)]
pub struct Upload {
    files: Files,
    root: Folder,
    path: FilePath,
    parents: bool,
    conditions: Conditions,
    // Before the scratch: a file is closed, then removed, then its room is given back.
    file: File,
    scratch: Scratch,
    reservation: Reservation,
    written: u64,
    /// Size of the file that is going to be replaced.
    replaces: u64,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Upload {
    /// Says early what would fail at the end anyway.
    pub(super) fn begin(
        files: &Files,
        path: &FilePath,
        length: Option<u64>,
        parents: bool,
        conditions: Conditions,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Self> {
        let root = files.root()?;
        let found = match root.place(path) {
            Ok(place) => replaceable(&place)?,
            Err(FileError { why: Why::NotFound, .. }) if parents => None,
            Err(error) => return Err(error),
        };
        conditions.check(found.as_ref())?;
        let replaces = found.as_ref().map_or(0, frees);
        let reservation = files.0.quota.reserve(length.unwrap_or_default().saturating_sub(replaces))?;
        let scratch = files.0.scratch.take(&root)?;
        let file = at::create_file(&scratch.home, scratch.name.as_bytes())?;
        Ok(Self {
            files: files.clone(),
            root,
            path: path.clone(),
            parents,
            conditions,
            file,
            scratch,
            reservation,
            written: 0,
            replaces,
            _permit: permit,
        })
    }

    /// Writes what has come. Blocking.
    pub fn write(&mut self, chunks: &[Bytes]) -> Result<()> {
        for chunk in chunks {
            self.written = self.written.saturating_add(chunk.len() as u64);
            self.reservation.grow_to(self.written.saturating_sub(self.replaces))?;
            self.file.write_all(chunk)?;
        }
        Ok(())
    }

    /// How much has been written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Brings what was written until now to the disk, while more is written. Blocking.
    pub fn syncing(&self) -> Result<impl FnOnce() -> Result<()> + Send + use<>> {
        let file = self.file.try_clone()?;
        Ok(move || Ok(file.sync_data()?))
    }

    /// Gives the file its name; whether it is a new one. Blocking.
    pub fn finish(mut self) -> Result<(FileInfo, bool)> {
        self.file.sync_all()?;
        let naming = self.files.naming();
        self.files.must_be_root(&self.root)?;
        // Resolved again: much may have happened since the beginning.
        if let (true, Some((folder, _))) = (self.parents, self.path.split()) {
            self.root.make(&folder)?;
        }
        let place = self.root.place(&self.path)?;
        let found = replaceable(&place)?;
        self.conditions.check(found.as_ref())?;
        let replaced = found.as_ref().map_or(0, frees);
        self.reservation.grow_to(self.written.saturating_sub(replaced))?;
        let mode = found.as_ref().map_or(NEW_MODE, |found| found.st_mode);
        fs::fchmod(&self.file, at::plain_mode(mode, 0o600))?;
        let name = self.scratch.name.as_bytes();
        match found {
            Some(_) => fs::renameat(&self.scratch.home, name, &place.folder, &place.name)?,
            None => at::move_new(&self.scratch.home, name, &place.folder, &place.name)?,
        }
        let stat = fs::fstat(&self.file)?;
        self.reservation.commit(self.written, replaced);
        drop(naming);
        place.folder.sync()?;
        Ok((read::info(&place.folder, &place.name, &self.path, &stat), found.is_none()))
    }
}

/// What an upload to this place replaces, if it may.
fn replaceable(place: &Place) -> Result<Option<Stat>> {
    let found = at::find(&place.folder, &place.name)?;
    if let Some(found) = &found {
        at::must_be_file(found)?;
    }
    Ok(found)
}

/// The bytes that are free when this name is gone.
pub(super) fn frees(stat: &Stat) -> u64 {
    if at::kind(stat) == FileType::RegularFile && stat.st_nlink <= 1 { at::size(stat) } else { 0 }
}
