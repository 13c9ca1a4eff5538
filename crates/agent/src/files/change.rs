//! Small changes, done at once.

use std::sync::Arc;

use domain::agent::{FileChange, FilePath};
use rustix::fs::{FileType, Mode};

use super::{
    Files, at,
    deleted::Gone,
    error::{FileError, Result, Why},
    folder::{Folder, Place},
    scratch::Scratch,
};

/// Most paths of one request.
pub(super) const MOST_PATHS: usize = 1_000;

/// Does it, but for folders that are removed later.
pub(super) fn change(files: &Files, change: &FileChange) -> Result<Vec<Gone>> {
    let root = files.root()?;
    let done = match change {
        FileChange::Delete { paths } => return delete(files, &root, &parse_all(paths)?),
        FileChange::MakeFolder { path } => {
            let path = FilePath::parse(path)?;
            root.make(&path).map(drop).map_err(|error| taken(error).at(&path))
        }
        FileChange::Rename { from, to } => rename(&root, &FilePath::parse(from)?, &FilePath::parse(to)?),
        FileChange::SetMode { path, mode } => {
            let path = FilePath::parse(path)?;
            set_mode(&root, &path, *mode).map_err(|error| error.at(&path))
        }
    };
    done.map(|()| Vec::new())
}

/// All paths, or the first that is none.
pub(super) fn parse_all(paths: &[String]) -> Result<Vec<FilePath>> {
    if !(1..=MOST_PATHS).contains(&paths.len()) {
        return Err(Why::Invalid(format!("1 to {MOST_PATHS} paths")).into());
    }
    paths.iter().map(|path| Ok(FilePath::parse(path)?)).collect()
}

/// Something that is not a folder stands where one is to be made.
fn taken(error: FileError) -> FileError {
    if matches!(error.why, Why::NotAFolder) { Why::AlreadyExists.into() } else { error }
}

fn rename(root: &Folder, from: &FilePath, to: &FilePath) -> Result<()> {
    if to != from && to.is_within(from) {
        return Err(FileError::from(Why::Invalid("a folder cannot be moved into itself".to_owned())).at(from));
    }
    let source = root.place(from).map_err(|error| error.at(from))?;
    let target = root.place(to).map_err(|error| error.at(to))?;
    at::stat(&source.folder, &source.name).map_err(|error| error.at(from))?;
    at::move_new(&source.folder, &source.name, &target.folder, &target.name)
        .map_err(|error| if matches!(error.why, Why::NotFound) { error.at(from) } else { error.at(to) })?;
    target.folder.sync()
}

fn set_mode(root: &Folder, path: &FilePath, mode: u32) -> Result<()> {
    if mode > 0o777 {
        return Err(Why::Invalid("a mode is 0 to 0o777; there are no set-id bits".to_owned()).into());
    }
    let place = root.place(path)?;
    // Its owner, who we are, goes on being able to read it, and to manage a folder: nobody could take that back here.
    let is_folder = at::kind(&at::stat(&place.folder, &place.name)?) == FileType::Directory;
    let least = if is_folder { 0o700 } else { 0o400 };
    at::set_mode(&place.folder, &place.name, at::plain_mode(mode, least)).map(drop)
}

/// What is deleted disappears at once, by being moved to the scratch folder, and is removed there. What is not there is
/// no error: a request may be repeated.
fn delete(files: &Files, root: &Folder, paths: &[FilePath]) -> Result<Vec<Gone>> {
    let mut later = Vec::new();
    for path in paths {
        match root.place(path).and_then(|place| delete_one(files, root, &place)) {
            Ok(gone) => later.extend(gone),
            Err(FileError { why: Why::NotFound, .. }) => {}
            Err(error) => return Err(error.at(path)),
        }
    }
    Ok(later)
}

fn delete_one(files: &Files, root: &Folder, place: &Place) -> Result<Option<Gone>> {
    let scratch: Scratch = Arc::clone(&files.0.scratch).take(root)?;
    let moved = at::move_new(&place.folder, &place.name, &scratch.home, scratch.name.as_bytes());
    match moved {
        Err(FileError { why: Why::NotPermitted, .. }) => move_denied(place, &scratch)?,
        moved => moved?,
    }
    if at::kind(&at::stat(&scratch.home, scratch.name.as_bytes())?) == FileType::Directory {
        return files.remove_later(scratch);
    }
    files.0.quota.free(scratch.remove()?);
    Ok(None)
}

/// A folder can be moved only by who may write in it.
fn move_denied(place: &Place, scratch: &Scratch) -> Result<()> {
    let found = at::stat(&place.folder, &place.name)?;
    if at::kind(&found) != FileType::Directory {
        return Err(Why::NotPermitted.into());
    }
    at::set_mode(&place.folder, &place.name, Mode::RWXU)?;
    let moved = at::move_new(&place.folder, &place.name, &scratch.home, scratch.name.as_bytes());
    if moved.is_err() {
        // It stays, so it stays as it was.
        at::set_mode(&place.folder, &place.name, Mode::from_raw_mode(found.st_mode))?;
    }
    moved
}
