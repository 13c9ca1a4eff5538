//! What is in a folder that is known by its handle.

use std::{ffi::CString, io, os::fd::AsFd};

use rustix::fs::Dir;

/// The names in a folder, in the order of the file system.
pub(super) fn names(folder: impl AsFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
