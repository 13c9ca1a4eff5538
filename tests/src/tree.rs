//! Everything about a folder that a restore has to bring back: names, kinds, modes, times, content.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown},
    path::Path,
};

/// A folder's entries by their paths; the folder itself is `.`.
pub type Tree = BTreeMap<String, Entry>;

/// What is known of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Type and permissions.
    pub mode: u32,
    /// Seconds and nanoseconds of its last change.
    pub modified: (i64, i64),
    /// A file's bytes, or where a link points.
    pub content: Vec<u8>,
}

/// Everything in `folder`.
pub fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    walk(folder, ".", &mut found);
    found
}

fn walk(path: &Path, name: &str, found: &mut Tree) {
    let about = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut content = Vec::new();
    if about.is_dir() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            walk(&entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()), found);
        }
    } else if about.is_symlink() {
        content = fs::read_link(path).expect("a link").to_string_lossy().into_owned().into_bytes();
    } else {
        content = fs::read(path).expect("a file");
    }
    let modified = (about.mtime(), about.mtime_nsec());
    found.insert(name.to_owned(), Entry { mode: about.permissions().mode(), modified, content });
}

/// Gives everything in a container's data folder to the container, as if its game had written it: what a test writes
/// there is the test's.
pub fn as_the_container(data: &Path) {
    let owner = fs::symlink_metadata(data).expect("a data folder");
    for entry in fs::read_dir(data).expect("a data folder").flatten() {
        give(&entry.path(), owner.uid());
    }
}

fn give(path: &Path, user: u32) {
    lchown(path, Some(user), Some(user)).expect("to give a file away");
    if fs::symlink_metadata(path).expect("a file").is_dir() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            give(&entry.path(), user);
        }
    }
}

/// What is different, for people; empty when nothing is.
pub fn differences(before: &Tree, after: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, old) in before {
        match after.get(name) {
            None => found.push(format!("{name} is missing")),
            Some(new) if new.content != old.content => found.push(format!("{name} has another content")),
            Some(new) if new.mode != old.mode => {
                found.push(format!("{name} has mode {:o}, not {:o}", new.mode, old.mode));
            }
            Some(new) if new.modified != old.modified => {
                found.push(format!("{name} is of {:?}, not {:?}", new.modified, old.modified));
            }
            Some(_) => {}
        }
    }
    found
        .extend(after.keys().filter(|name| !before.contains_key(*name)).map(|name| format!("{name} is new")));
    found
}
