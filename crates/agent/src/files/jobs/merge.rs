//! Moves a staged tree to its place. Each move is noted, so that all of them can be taken back when one fails: then
//! everything is as it was.

use domain::agent::FilePath;
use rustix::fs::{self, AtFlags, FileType};
use tracing::error;

use super::staging::Staging;
use crate::files::{
    Files, at,
    error::{FileError, Result, Why},
    folder::Folder,
    walk::{Odd, Walk},
    write::frees,
};

/// What was done, to be undone backwards.
enum Done {
    /// Something was moved in.
    Moved(FilePath),
    /// A file was swapped with the one that was there.
    Swapped(FilePath),
}

struct Merge<'m> {
    /// The target.
    to: Folder,
    path: &'m FilePath,
    staged: &'m Folder,
    done: Vec<Done>,
    removed: u64,
}

/// Moves what is staged into the folder `path`; the bytes of files that were replaced. Those stay in the staging
/// folder, which is removed afterwards.
pub(super) fn into_place(
    files: &Files,
    root: &Folder,
    staging: &Staging<'_>,
    path: &FilePath,
    replace: bool,
) -> Result<u64> {
    let _naming = files.naming();
    files.must_be_root(root)?;
    let missing = missing(root, path)?;
    let to = root.make(path).map_err(|error| error.at(path))?;
    let mut merge = Merge { to, path, staged: &staging.folder, done: Vec::new(), removed: 0 };
    match merge.check(replace).and_then(|()| merge.run()) {
        Ok(()) => {
            merge.to.sync()?;
            Ok(merge.removed)
        }
        Err(error) => {
            merge.undo();
            for folder in missing.iter().rev() {
                // One in which something lies by now stays.
                let _ = root
                    .place(folder)
                    .map(|place| fs::unlinkat(place.folder, place.name, AtFlags::REMOVEDIR));
            }
            Err(error)
        }
    }
}

/// The folders on the way to `path` that are not there, from the outermost.
fn missing(root: &Folder, path: &FilePath) -> Result<Vec<FilePath>> {
    let (mut missing, mut here) = (Vec::new(), FilePath::root());
    for name in path.components() {
        here = here.join(name)?;
        match root.folder(&here) {
            Ok(_) => {}
            Err(FileError { why: Why::NotFound, .. }) => missing.push(here.clone()),
            Err(error) => return Err(error.at(path)),
        }
    }
    Ok(missing)
}

impl Merge<'_> {
    /// Fails for whatever stands in the way, before anything is moved.
    fn check(&self, replace: bool) -> Result<()> {
        let mut walk = Walk::new(self.staged, FilePath::root(), Odd::Fail)?;
        while let Some(found) = walk.next()? {
            let Some(there) = self.there(&found.path)? else { continue };
            let (ours, theirs) = (at::kind(&found.stat), at::kind(&there));
            let fine = match (ours, theirs) {
                (FileType::Directory, FileType::Directory) => true,
                (FileType::RegularFile, FileType::RegularFile) => replace,
                _ => false,
            };
            if !fine {
                return Err(FileError::from(Why::AlreadyExists).at(&self.path.append(&found.path)?));
            }
        }
        Ok(())
    }

    /// What lies at the place of a staged entry; none when its folder is not there either.
    fn there(&self, path: &FilePath) -> Result<Option<fs::Stat>> {
        match self.to.place(path) {
            Ok(place) => at::find(&place.folder, &place.name),
            Err(FileError { why: Why::NotFound, .. }) => Ok(None),
            Err(error) => Err(error.at(&self.path.append(path)?)),
        }
    }

    /// Moves whole folders where there is none, and single files elsewhere.
    fn run(&mut self) -> Result<()> {
        let mut folders = vec![FilePath::root()];
        while let Some(folder) = folders.pop() {
            // Listed first, as it is emptied now.
            let mut entries = at::read_folder(&self.staged.folder(&folder)?, b".")?;
            let mut names = Vec::new();
            while let Some(entry) = entries.read() {
                names.push(entry?.file_name().to_bytes().to_vec());
            }
            for name in names.iter().filter(|name| *name != b"." && *name != b"..") {
                let path = folder.join(name)?;
                if self.one(&path).map_err(|error| error.at(&path))? {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// Whether it is a folder that is there already, whose content is to be moved.
    fn one(&mut self, path: &FilePath) -> Result<bool> {
        let (from, to) = (self.staged.place(path)?, self.to.place(path)?);
        let ours = at::stat(&from.folder, &from.name)?;
        match at::find(&to.folder, &to.name)? {
            None => {
                at::move_new(&from.folder, &from.name, &to.folder, &to.name)?;
                self.done.push(Done::Moved(path.clone()));
            }
            Some(there) if at::kind(&there) == FileType::Directory => {
                return if at::kind(&ours) == FileType::Directory {
                    Ok(true)
                } else {
                    Err(Why::AlreadyExists.into())
                };
            }
            Some(there) => {
                at::must_be_file(&there)?;
                at::must_be_file(&ours)?;
                at::exchange(&from.folder, &from.name, &to.folder, &to.name)?;
                self.done.push(Done::Swapped(path.clone()));
                self.removed += frees(&there);
            }
        }
        Ok(false)
    }

    fn undo(&mut self) {
        while let Some(done) = self.done.pop() {
            let (Done::Moved(path) | Done::Swapped(path)) = &done;
            let undone = self.staged.place(path).and_then(|staged| {
                let there = self.to.place(path)?;
                match &done {
                    Done::Moved(_) => at::move_new(&there.folder, &there.name, &staged.folder, &staged.name),
                    Done::Swapped(_) => {
                        at::exchange(&there.folder, &there.name, &staged.folder, &staged.name)
                    }
                }
            });
            if let Err(error) = undone {
                error!(%error, %path, "what an extraction had moved could not be moved back and stays where it is: {error}");
            }
        }
    }
}
