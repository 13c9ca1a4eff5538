//! Copies a file, or a folder with all that is in it. Links are copied as links; FIFOs, sockets and devices are left
//! out.

use domain::agent::FilePath;
use rustix::fs::{FileType, readlinkat};

use super::{
    Work,
    staging::{Look, Staging},
};
use crate::files::{
    Files, at,
    error::{Result, Why},
    walk::{Entry, Odd, Walk},
};

/// What is copied lies under this name in the staging folder, until it is moved.
const STAGED: &[u8] = b"copy";

pub(super) fn copy(files: &Files, from: &str, to: &str, work: &Work) -> Result<()> {
    let (from, to) = (FilePath::parse(from)?, FilePath::parse(to)?);
    let root = files.root()?;
    let source = root.place(&from).map_err(|error| error.at(&from))?;
    let target = root.place(&to).map_err(|error| error.at(&to))?;
    if at::find(&target.folder, &target.name)?.is_some() {
        return Err(super::FileError::from(Why::AlreadyExists).at(&to));
    }
    let found = at::stat(&source.folder, &source.name).map_err(|error| error.at(&from))?;
    let mut staging = Staging::new(files, &root, work)?;
    let staged = FilePath::from_bytes(STAGED)?;
    let is_special =
        !matches!(at::kind(&found), FileType::RegularFile | FileType::Directory | FileType::Symlink);
    if is_special {
        return Err(super::FileError::from(Why::Special).at(&from));
    }
    let top = Entry {
        folder: rustix::fd::AsFd::as_fd(&source.folder),
        name: source.name.clone(),
        path: staged.clone(),
        stat: found,
    };
    one(&mut staging, &top, work)?;
    if at::kind(&found) == FileType::Directory {
        let folder = at::open_folder(&source.folder, &source.name)?;
        let staged_at = staged.clone();
        let mut walk = Walk::new(&folder, staged, Odd::Fail)?;
        while let Some(found) = walk.next()? {
            // The copy must not lie so deep that nothing could reach it.
            to.append(&found.path.below(&staged_at).unwrap_or_default())?;
            one(&mut staging, &found, work)?;
        }
    }
    staging.complete()?;
    let _naming = files.naming();
    files.must_be_root(&root)?;
    // Found again: its folder may have been renamed meanwhile.
    let target = root.place(&to).map_err(|error| error.at(&to))?;
    at::move_new(&staging.folder, STAGED, &target.folder, &target.name).map_err(|error| error.at(&to))?;
    target.folder.sync()?;
    staging.commit(0);
    Ok(())
}

fn one(staging: &mut Staging<'_>, found: &Entry<'_>, work: &Work) -> Result<()> {
    let look = Look::of(&found.stat);
    match at::kind(&found.stat) {
        FileType::Directory => staging.add_folder(&found.path, Some(look)),
        FileType::RegularFile => match at::open_file(found.folder, &found.name) {
            Ok((file, stat)) => staging.copy_file(&found.path, Look::of(&stat), &file),
            // Deleted meanwhile.
            Err(error) if matches!(error.why, Why::NotFound) => Ok(()),
            Err(error) => Err(error.at(&found.path)),
        },
        FileType::Symlink => {
            let target = readlinkat(found.folder, found.name.as_slice(), Vec::new())?;
            staging.add_link(&found.path, target.as_bytes())
        }
        _ => {
            work.skipped_entry();
            Ok(())
        }
    }
}
