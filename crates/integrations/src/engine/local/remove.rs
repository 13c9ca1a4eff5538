//! Removing a tree that somebody hostile has built: any depth, any number of entries, any permissions.
//!
//! A walk that recurses, or that holds a handle per level, ends in a stack overflow or in "too many open files" where
//! a game nests directories for that purpose. This one has two handles open and no stack: what is found below the
//! second level is moved up to the first, each directory once.

use std::{
    ffi::{CString, OsStr},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, unlinkat},
    io::{Errno, Result},
};

/// Entries read before they are removed: a folder may have millions.
const BATCH: usize = 1_024;

/// Removes `path` with everything below it. Follows no symlink. A path that does not exist is removed already.
pub(super) fn remove_tree(path: &Path) -> std::io::Result<()> {
    let top = match open(CWD, path.as_os_str()) {
        Err(Errno::NOENT) => return Ok(()),
        // Not a directory, or a symlink: one entry.
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(unlinkat(CWD, path, AtFlags::empty())?),
        opened => opened?,
    };
    let mut moved = 0;
    loop {
        let entries = batch(&top)?;
        if entries.is_empty() {
            return Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?);
        }
        for (name, kind) in entries {
            match kind {
                FileType::Directory => remove_child(&top, &name, &mut moved)?,
                _ => unlinkat(&top, &name, AtFlags::empty())?,
            }
        }
    }
}

/// Removes a directory right below `top`; directories in it are moved to `top`.
fn remove_child(top: &OwnedFd, name: &CString, moved: &mut u64) -> Result<()> {
    if unlinkat(top, name, AtFlags::REMOVEDIR).is_ok() {
        return Ok(());
    }
    let child = open(top, OsStr::from_bytes(name.to_bytes()))?;
    loop {
        let entries = batch(&child)?;
        if entries.is_empty() {
            return unlinkat(top, name, AtFlags::REMOVEDIR);
        }
        for (inner, kind) in entries {
            match kind {
                FileType::Directory => move_up(&child, &inner, top, moved)?,
                _ => unlinkat(&child, &inner, AtFlags::empty())?,
            }
        }
    }
}

fn move_up(from: &OwnedFd, name: &CString, top: &OwnedFd, moved: &mut u64) -> Result<()> {
    loop {
        *moved += 1;
        match renameat(from, name, top, format!(".moved-{moved}")) {
            // Somebody has thought of that name before us.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            // A directory that changes its parent must be writable, unless one is root.
            Err(Errno::ACCESS) => {
                chmodat(from, name, Mode::RWXU, AtFlags::empty())?;
                return renameat(from, name, top, format!(".moved-{moved}"));
            }
            outcome => return outcome,
        }
    }
}

/// Opens a directory, giving its owner the rights where they are missing.
fn open(at: impl std::os::fd::AsFd, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(&at, name, flags, Mode::empty());
    if matches!(opened, Err(Errno::ACCESS)) {
        chmodat(&at, name, Mode::RWXU, AtFlags::empty())?;
        return openat(&at, name, flags, Mode::empty());
    }
    opened
}

/// The next entries, with their kind. Unreadable or unwritable folders are made ours first, which only root need not.
fn batch(directory: &OwnedFd) -> Result<Vec<(CString, FileType)>> {
    let may_change = rustix::fs::accessat(
        directory,
        ".",
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        AtFlags::empty(),
    );
    if may_change.is_err() {
        rustix::fs::fchmod(directory, Mode::RWXU)?;
    }
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            // Some filesystems do not say.
            FileType::Unknown => {
                let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        found.push((name.to_owned(), kind));
        if found.len() == BATCH {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use rustix::fs::mkdirat;

    use super::*;

    /// Nests directories so deeply that no path names the last.
    fn nest(path: &Path, depth: usize) {
        fs::create_dir(path).unwrap();
        let mut at = open(CWD, path.as_os_str()).unwrap();
        for _ in 0..depth {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, OsStr::new("d")).unwrap();
        }
    }

    #[test]
    fn a_tree_of_any_depth_is_removed_with_little_stack_and_few_handles() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        nest(&root, 5_000);
        let remove = move || remove_tree(&root).unwrap();
        // A walk that recurses does not fit into this.
        std::thread::Builder::new().stack_size(64 * 1_024).spawn(remove).unwrap().join().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn permissions_odd_files_and_names_chosen_against_us_do_not_stop_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir_all(root.join("a/b2/c")).unwrap();
        fs::create_dir_all(root.join(".moved-1/full")).unwrap();
        fs::write(root.join(".moved-2"), "x").unwrap();
        fs::write(&outside, "kept").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("a/link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), root.join("a/b/up")).unwrap();
        rustix::fs::mkfifoat(CWD, root.join("a/fifo"), Mode::RWXU).unwrap();
        for closed in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(root.join(closed), fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        assert_eq!(fs::read_to_string(outside).unwrap(), "kept");
        remove_tree(&root).unwrap();
    }

    #[test]
    fn a_folder_with_more_entries_than_a_batch_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("inner")).unwrap();
        for n in 0..3_000 {
            fs::write(root.join(format!("inner/{n}")), "").unwrap();
        }
        remove_tree(&root).unwrap();
        assert!(!root.exists());
    }
}
