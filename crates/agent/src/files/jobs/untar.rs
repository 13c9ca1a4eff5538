//! Tar archives. Links, devices and what else there may be in one are refused: an archive that holds them could not be
//! unpacked as it was packed.

use std::io::Read;

use rustix::fs::Timespec;
use tar::{Archive, Entry, EntryType};

use super::{
    extract::{Bounded, Limited, Unpacking, damaged, odd, refused},
    staging::Look,
};
use crate::files::error::Result;

/// Largest window of a Zstandard frame, as a power of two (128 MiB): what its `--ultra` levels use, and no more.
pub(super) const ZSTD_WINDOW_LOG: u32 = 27;
/// Most bytes of headers between two entries: long names, extended attributes. They are held in memory.
const HEADERS: u64 = 1 << 20;
/// A file's last block is filled up to this.
const BLOCK: u64 = 512;

pub(super) fn untar(
    reader: Limited<impl Read>,
    bounds: &Bounded,
    unpacking: &mut Unpacking<'_, '_>,
) -> Result<()> {
    bounds.allowed.set(HEADERS);
    let mut archive = Archive::new(reader);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        bounds.allowed.set(u64::MAX);
        one(&mut entry, unpacking)?;
        bounds.allowed.set(HEADERS + BLOCK);
    }
    Ok(())
}

fn one(entry: &mut Entry<'_, impl Read>, unpacking: &mut Unpacking<'_, '_>) -> Result<()> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(());
    }
    let name = entry.path_bytes().into_owned();
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => {}
        EntryType::Symlink | EntryType::Link => return Err(odd(&name, "it is a link")),
        _ => return Err(odd(&name, "it is neither a file nor a folder")),
    }
    let seconds = entry.header().mtime().map_err(damaged)?;
    let look = Look {
        mode: entry.header().mode().map_err(damaged)?,
        modified: Timespec { tv_sec: i64::try_from(seconds).unwrap_or_default(), tv_nsec: 0 },
    };
    let Some(path) = unpacking.entry(&name)? else { return Ok(()) };
    if kind == EntryType::Directory {
        return unpacking.staging.add_folder(&path, Some(look)).map_err(|error| error.at(&path));
    }
    let size = entry.size();
    if size > unpacking.room() {
        return Err(refused("it unpacks to too much"));
    }
    let written = unpacking.staging.add_file(&path, look, Damaged(entry)).map_err(|error| error.at(&path))?;
    if written == size { Ok(()) } else { Err(damaged(std::io::ErrorKind::UnexpectedEof.into())) }
}

/// Tells an archive that cannot be read from a disk that cannot be written.
pub(super) struct Damaged<R>(pub(super) R);

impl<R: Read> Read for Damaged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer).map_err(|error| damaged(error).into())
    }
}
