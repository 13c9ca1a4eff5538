//! Zip archives, read entry by entry from the central directory, which is never held whole. The crate calls its reader
//! for that unstable (it may change with a minor version); its stable one holds as many names as an archive claims.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use chrono::NaiveDate;
use rustix::fs::Timespec;
use zip::{
    CompressionMethod, ExtraField, ZipReadOptions,
    read::{Config, ZipFile},
    result::ZipError,
    unstable::read::ZipIterable,
};

use super::{
    extract::{BUFFER, MAX_ENTRIES, Unpacking, damaged, is_plausible, odd, refused},
    staging::Look,
    untar::Damaged,
};
use crate::files::error::{FileError, Result, Why};

/// Kinds in the upper bits of a Unix mode.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

pub(super) fn unzip(archive: &File, unpacking: &mut Unpacking<'_, '_>) -> Result<()> {
    let length = archive.metadata()?.len();
    let reader = || BufReader::with_capacity(BUFFER, Positioned { file: archive, at: 0, length });
    let mut zip = ZipIterable::try_new(reader(), Config::default()).map_err(unreadable)?;
    if zip.len() > MAX_ENTRIES {
        return Err(refused(&format!("it has more than {MAX_ENTRIES} entries")));
    }
    let mut entries = zip.files_with_reader(reader(), ZipReadOptions::new()).map_err(unreadable)?;
    let mut unpacked = 0;
    while let Some(entry) = entries.next() {
        unpacked += one(entry.map_err(unreadable)?, length, unpacking)?;
        // Entries may share their bytes, so that each is small and all are not.
        if !is_plausible(unpacked, length) {
            return Err(refused("far more would come out than went in (a bomb)"));
        }
    }
    Ok(())
}

fn one<R: Read>(entry: ZipFile<'_, R>, archive: u64, unpacking: &mut Unpacking<'_, '_>) -> Result<u64> {
    let name = entry.name_raw().to_vec();
    let folder = name.ends_with(b"/");
    match entry.unix_mode().unwrap_or_default() & KIND {
        0 | REGULAR | FOLDER if !entry.is_symlink() => {}
        _ if entry.is_symlink() => return Err(odd(&name, "it is a link")),
        _ => return Err(odd(&name, "it is neither a file nor a folder")),
    }
    if entry.encrypted() {
        return Err(odd(&name, "it is encrypted"));
    }
    let Some(path) = unpacking.entry(&name)? else { return Ok(0) };
    let mode = entry.unix_mode().filter(|mode| mode & 0o777 != 0);
    let look = Look { mode: mode.unwrap_or(if folder { 0o755 } else { 0o644 }), modified: modified(&entry) };
    if folder {
        unpacking.staging.add_folder(&path, Some(look)).map_err(|error| error.at(&path))?;
        return Ok(0);
    }
    if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(odd(&name, "its compression is unknown here; deflate is known"));
    }
    let (packed, room) = (entry.compressed_size().min(archive), unpacking.room());
    let content = Sane { inner: entry, packed, room, unpacked: 0 };
    unpacking.staging.add_file(&path, look, Damaged(content)).map_err(|error| error.at(&path))
}

/// With the extra field that has seconds since the epoch, or else the format's own time, whose zone nobody knows.
fn modified<R: Read>(entry: &ZipFile<'_, R>) -> Timespec {
    let exact = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time().map(i64::from),
        _ => None,
    });
    let plain = || {
        let time = entry.last_modified()?;
        let date = NaiveDate::from_ymd_opt(time.year().into(), time.month().into(), time.day().into())?;
        let time = date.and_hms_opt(time.hour().into(), time.minute().into(), time.second().into())?;
        Some(time.and_utc().timestamp())
    };
    Timespec { tv_sec: exact.or_else(plain).unwrap_or_default(), tv_nsec: 0 }
}

fn unreadable(error: ZipError) -> FileError {
    match error {
        ZipError::Io(error) => damaged(error),
        ZipError::UnsupportedArchive(reason) => refused(reason),
        error => Why::ArchiveDamaged(error.to_string()).into(),
    }
}

/// An entry's content, with an end to it.
struct Sane<R> {
    inner: R,
    packed: u64,
    room: u64,
    unpacked: u64,
}

impl<R: Read> Read for Sane<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        if self.unpacked > self.room {
            return Err(refused("it unpacks to too much").into());
        }
        if !is_plausible(self.unpacked, self.packed) {
            return Err(refused("far more would come out than went in (a bomb)").into());
        }
        Ok(read)
    }
}

/// A reader with a position of its own: two of one file do not disturb each other.
struct Positioned<'p> {
    file: &'p File,
    at: u64,
    length: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Positioned<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
