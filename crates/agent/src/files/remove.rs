//! Removes a tree of any depth with two open handles and no recursion: what is found in a folder is unlinked, or moved
//! up beside the tree and taken next. Links are removed, never followed.

use rustix::{
    fs::{self, AtFlags, Dir, FileType, Mode},
    io::Errno,
};

use super::{
    at,
    error::{FileError, Result, Why},
    folder::Folder,
    scratch::ScratchNames,
};

/// How often a folder is looked through before whoever fills it has won.
const PASSES: usize = 100;

/// Removes `name` in the scratch folder `home`; the bytes that this gave back. That it is gone already is no error.
pub(super) fn tree(home: &Folder, name: &[u8], names: &ScratchNames) -> Result<u64> {
    let mut freed = 0;
    let mut folders = vec![name.to_vec()];
    while let Some(folder) = folders.pop() {
        let Some(found) = at::find(home, &folder)? else { continue };
        if at::kind(&found) != FileType::Directory {
            freed += unlink(home, &folder)?;
            continue;
        }
        let mut passes = 0;
        while !gone(fs::unlinkat(home, &folder, AtFlags::REMOVEDIR))? {
            passes += 1;
            if passes > PASSES {
                return Err(Why::AlreadyExists.into());
            }
            // The owner may have taken the right to change it from himself.
            at::set_mode(home, &folder, Mode::RWXU)?;
            let mut entries = match at::read_folder(home, &folder) {
                Ok(entries) => entries,
                Err(FileError { why: Why::NotFound, .. }) => break,
                Err(error) => return Err(error),
            };
            freed += empty(&mut entries, home, names, &mut folders)?;
        }
    }
    Ok(freed)
}

fn empty(entries: &mut Dir, home: &Folder, names: &ScratchNames, folders: &mut Vec<Vec<u8>>) -> Result<u64> {
    let mut freed = 0;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let (name, folder) = (entry.file_name().to_bytes(), entries.fd()?);
        if name == b"." || name == b".." {
            continue;
        }
        let Some(found) = at::find(folder, name)? else { continue };
        if at::kind(&found) != FileType::Directory {
            freed += unlink(folder, name)?;
        } else if !gone(fs::unlinkat(folder, name, AtFlags::REMOVEDIR))? {
            let up = names.fresh().into_bytes();
            let moved = at::move_new(folder, name, home, &up);
            if matches!(moved, Err(FileError { why: Why::NotPermitted, .. })) {
                at::set_mode(folder, name, Mode::RWXU)?;
                at::move_new(folder, name, home, &up)?;
            } else {
                moved?;
            }
            folders.push(up);
        }
    }
    Ok(freed)
}

/// Unlinks what is not a folder; the bytes that nothing names any more.
fn unlink(folder: impl std::os::fd::AsFd, name: &[u8]) -> Result<u64> {
    let Some(found) = at::find(&folder, name)? else { return Ok(0) };
    match fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) if found.st_nlink <= 1 => Ok(at::size(&found)),
        Ok(()) | Err(Errno::NOENT) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether an empty folder was removed, or had been.
fn gone(removed: rustix::io::Result<()>) -> Result<bool> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
