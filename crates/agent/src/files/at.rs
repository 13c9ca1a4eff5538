//! One step from an open folder to something in it. Nothing here follows a link, whatever was there a moment ago: the
//! kernel is told so with each call.

use std::{fs::File, os::fd::AsFd};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};

use super::{
    error::{Result, Why},
    folder::Folder,
};

/// What has this name.
pub(super) fn stat(folder: impl AsFd, name: &[u8]) -> Result<Stat> {
    Ok(fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The same, or none.
pub(super) fn find(folder: impl AsFd, name: &[u8]) -> Result<Option<Stat>> {
    match stat(folder, name) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.why, Why::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Its kind.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A regular file's size, in bytes.
pub(super) fn size(stat: &Stat) -> u64 {
    if kind(stat) == FileType::RegularFile { u64::try_from(stat.st_size).unwrap_or_default() } else { 0 }
}

/// Permission bits that we set on anything: no set-id bits, and its owner can always manage it.
pub(super) fn plain_mode(mode: u32, least: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777 | least)
}

/// Fails for what is not a regular file.
pub(super) fn must_be_file(stat: &Stat) -> Result<()> {
    match kind(stat) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Why::IsFolder.into()),
        FileType::Symlink => Err(Why::IsLink.into()),
        _ => Err(Why::Special.into()),
    }
}

/// A regular file, for reading. Looked at first, so that nothing else is opened (opening a device may do something);
/// opened without waiting and looked at again, as it may have been swapped in between.
pub(super) fn open_file(folder: impl AsFd, name: &[u8]) -> Result<(File, Stat)> {
    must_be_file(&stat(&folder, name)?)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(fs::openat(folder, name, flags, Mode::empty())?);
    let stat = fs::fstat(&file)?;
    must_be_file(&stat)?;
    Ok((file, stat))
}

/// A folder, for going on.
pub(super) fn open_folder(folder: impl AsFd, name: &[u8]) -> Result<Folder> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(folder, name, flags, Mode::empty())?.into())
}

/// A folder, for reading its entries.
pub(super) fn read_folder(folder: impl AsFd, name: &[u8]) -> Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Dir::new(fs::openat(folder, name, flags, Mode::empty())?)?)
}

/// A new file, for writing and reading.
pub(super) fn create_file(folder: impl AsFd, name: &[u8]) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// A folder of this name, which may be there already.
pub(super) fn make_folder(folder: impl AsFd, name: &[u8]) -> Result<Folder> {
    match fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => open_folder(folder, name),
        Err(errno) => Err(errno.into()),
    }
}

/// Moves to a name that nothing has.
pub(super) fn move_new(from: impl AsFd, name: &[u8], to: impl AsFd, new: &[u8]) -> Result<()> {
    Ok(fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE)?)
}

/// Swaps two names.
pub(super) fn exchange(from: impl AsFd, name: &[u8], to: impl AsFd, other: &[u8]) -> Result<()> {
    Ok(fs::renameat_with(from, name, to, other, RenameFlags::EXCHANGE)?)
}

/// Sets permission bits of a file or folder. `chmod(2)` follows links, and `fchmod(2)` needs an opened file, which a
/// FIFO or device must not be: so the name is resolved once, looked at, and changed through that very handle.
pub(super) fn set_mode(folder: impl AsFd, name: &[u8], mode: Mode) -> Result<Stat> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = fs::openat(folder, name, flags, Mode::empty())?;
    let found = fs::fstat(&handle)?;
    match kind(&found) {
        FileType::Directory => {}
        // Its other name may lie outside, where the customer may have no right to it.
        FileType::RegularFile if found.st_nlink > 1 => return Err(Why::HardLinked.into()),
        _ => must_be_file(&found)?,
    }
    let number = std::os::fd::AsRawFd::as_raw_fd(&handle);
    fs::chmod(format!("/proc/self/fd/{number}"), mode)?;
    Ok(fs::fstat(&handle)?)
}
