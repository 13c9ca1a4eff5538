//! What is in a folder that is known by its handle, also where its owner has denied that to itself.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
};

use rustix::{
    fs::{Dir, Mode, OFlags, Stat, chmod, fchmod, fstat, openat},
    io::Errno,
};

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

/// Sets the permission bits of what a handle was opened for, also one of `O_PATH` (open(2) names this way).
pub(super) fn set_mode(handle: &OwnedFd, mode: Mode) -> Result<(), Errno> {
    chmod(path_of(handle), mode)
}

/// Opens a file for reading. Where its owner, who we are, may not read it, it may for this moment.
pub(super) fn open_file(folder: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    // Should it have become a FIFO meanwhile, opening it may not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(&folder, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {}
        other => return other,
    }
    let handle = openat(&folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mode = Mode::from_raw_mode(fstat(&handle)?.st_mode);
    set_mode(&handle, mode | Mode::RUSR)?;
    let opened = rustix::fs::open(path_of(&handle), flags - OFlags::NOFOLLOW, Mode::empty());
    set_mode(&handle, mode)?;
    opened
}

/// A folder that is open, and can be entered while it is. It gets its permissions back when this is dropped.
pub(super) struct Entered {
    pub(super) folder: OwnedFd,
    /// With its own permissions.
    pub(super) about: Stat,
    denied: Option<Mode>,
}

impl Entered {
    /// Opens a folder for reading and for going on to what is in it. With `flags` for the look at its name.
    pub(super) fn open(parent: impl AsFd, name: &CStr, flags: OFlags) -> Result<Self, Errno> {
        let flags = flags | OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(parent, name, flags, Mode::empty())?;
        let about = fstat(&handle)?;
        let mode = Mode::from_raw_mode(about.st_mode);
        // By its own name `.`: that takes the right to enter it as well.
        let again =
            || openat(&handle, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        match again() {
            Ok(folder) => return Ok(Self { folder, about, denied: None }),
            Err(Errno::ACCESS) => set_mode(&handle, mode | Mode::RUSR | Mode::XUSR)?,
            Err(errno) => return Err(errno),
        }
        match again() {
            Ok(folder) => Ok(Self { folder, about, denied: Some(mode) }),
            Err(errno) => {
                set_mode(&handle, mode)?;
                Err(errno)
            }
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(mode) = self.denied {
            // Gone is as good.
            let _ = fchmod(&self.folder, mode);
        }
    }
}

fn path_of(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}
