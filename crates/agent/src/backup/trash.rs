//! Removes what was discarded. It was a customer's: of any depth, with folders that deny entry, changed while we look.

use std::{ffi::CStr, io, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat},
    io::Errno,
};
use uuid::Uuid;

use super::folder::names;

/// Folders open at once; what lies deeper is moved to the top and removed from there.
const MAX_DEPTH: usize = 64;

/// Removes everything in `folder`. Blocking.
pub(super) fn empty(folder: &Path) -> io::Result<()> {
    let trash = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        let names = names(&trash)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            remove(&trash, &name)?;
        }
    }
}

/// Removes one thing of the trash, without recursion.
fn remove(trash: &OwnedFd, name: &CStr) -> io::Result<()> {
    let Some(top) = open_or_unlink(trash, name)? else { return Ok(()) };
    let mut open = vec![(name.to_owned(), names(&top)?, top)];
    while let Some((_, left, folder)) = open.last_mut() {
        if let Some(name) = left.pop() {
            if let Some(below) = open_or_unlink(folder, &name)? {
                if open.len() >= MAX_DEPTH {
                    let folder = &open[open.len() - 1].2;
                    renameat(folder, &name, trash, format!("deep-{}", Uuid::now_v7()))?;
                } else {
                    open.push((name, names(&below)?, below));
                }
            }
            continue;
        }
        let Some((name, ..)) = open.pop() else { break };
        let above = open.last().map_or(trash, |(.., folder)| folder);
        match unlinkat(above, &name, AtFlags::REMOVEDIR) {
            // Somebody still writes there; the next round of `empty` sees it.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The open folder, or nothing when it was no folder and is gone.
fn open_or_unlink(folder: &OwnedFd, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let about = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) => about,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
        return match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(None),
            Err(Errno::ACCESS) => {
                chmodat(folder, ".", Mode::RWXU, AtFlags::empty())?;
                Ok(unlinkat(folder, name, AtFlags::empty()).map(|()| None)?)
            }
            Err(error) => Err(error.into()),
        };
    }
    if about.st_mode & 0o700 != 0o700 {
        chmodat(folder, name, Mode::RWXU, AtFlags::empty())?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Some(openat(folder, name, flags, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn trees_deeper_than_open_files_allow_are_removed_and_links_are_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let (trash, kept) = (home.path().join("trash"), home.path().join("kept"));
        fs::create_dir(&trash).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let mut deep = trash.clone();
        for _ in 0..300 {
            deep.push("dir");
        }
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, deep.join("link")).unwrap();
        fs::create_dir_all(trash.join("closed/inside")).unwrap();
        fs::set_permissions(trash.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        empty(&trash).unwrap();
        assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
        assert!(kept.join("file").exists());
    }
}
