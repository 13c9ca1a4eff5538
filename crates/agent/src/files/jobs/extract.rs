//! Unpacks an archive into a staging folder, and moves what came out to its place when all of it is there. What an
//! archive says is believed about content only; its names are checked like paths that a stranger sent.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read},
    rc::Rc,
};

use domain::agent::FilePath;

use super::{Work, merge, staging::Staging, untar, unzip};
use crate::files::{
    Files, at,
    error::{FileError, Result, Why},
};

/// Most entries.
pub(super) const MAX_ENTRIES: usize = 200_000;
/// Most bytes unpacked (64 GiB). The plan's disk space usually comes first.
const MAX_BYTES: u64 = 64 << 30;
/// What may come out of each byte of an archive …
const RATIO: u64 = 250;
/// … beyond this many bytes: small files of one letter are no attack.
const FREE: u64 = 16 << 20;
/// Longest line of names that a message quotes.
const QUOTED: usize = 200;
/// Bytes of an archive read at once.
pub(super) const BUFFER: usize = 128 * 1024;

pub(super) fn extract(files: &Files, path: &str, to: &str, replace: bool, work: &Work) -> Result<()> {
    let (path, to) = (FilePath::parse(path)?, FilePath::parse(to)?);
    let root = files.root()?;
    let place = root.place(&path).map_err(|error| error.at(&path))?;
    let (archive, _) = at::open_file(&place.folder, &place.name).map_err(|error| error.at(&path))?;
    let mut unpacking = Unpacking { staging: Staging::new(files, &root, work)?, to: &to, entries: 0 };
    read(&archive, &mut unpacking).map_err(|error| error.at(&path))?;
    let mut staging = unpacking.staging;
    staging.complete()?;
    work.go_on()?;
    let removed = merge::into_place(files, &root, &staging, &to, replace)?;
    staging.commit(removed);
    Ok(())
}

fn read(archive: &File, unpacking: &mut Unpacking<'_, '_>) -> Result<()> {
    let mut first = [0; 4];
    let length = std::os::unix::fs::FileExt::read_at(archive, &mut first, 0)?;
    match &first[..length] {
        // A local file header, or the end of an empty archive.
        b"PK\x03\x04" | b"PK\x05\x06" => unzip::unzip(archive, unpacking),
        [0x1F, 0x8B, ..] => {
            let (raw, bounds) = Bounded::around(archive)?;
            let decoder = flate2::read::MultiGzDecoder::new(BufReader::with_capacity(BUFFER, raw));
            untar::untar(bounds.limit(decoder), &bounds, unpacking)
        }
        [0x28, 0xB5, 0x2F, 0xFD] => {
            let (raw, bounds) = Bounded::around(archive)?;
            let mut decoder = zstd::Decoder::new(raw)?;
            decoder.window_log_max(untar::ZSTD_WINDOW_LOG)?;
            untar::untar(bounds.limit(decoder), &bounds, unpacking)
        }
        _ => Err(refused("it is neither zip nor tar.gz nor tar.zst")),
    }
}

/// What comes out of an archive, and where it is to lie.
pub(super) struct Unpacking<'u, 'w> {
    pub(super) staging: Staging<'w>,
    to: &'u FilePath,
    entries: usize,
}

impl Unpacking<'_, '_> {
    /// Where an entry lies; none for the archive's own root. Fails for a name that leads anywhere else.
    pub(super) fn entry(&mut self, name: &[u8]) -> Result<Option<FilePath>> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(refused(&format!("it has more than {MAX_ENTRIES} entries")));
        }
        let mut plain = name;
        while let Some(rest) = plain.strip_prefix(b"./") {
            plain = rest;
        }
        let plain = plain.strip_suffix(b"/").unwrap_or(plain);
        if plain.is_empty() || plain == b"." {
            return if name.starts_with(b"/") { Err(odd(name, "it is absolute")) } else { Ok(None) };
        }
        // A separator where such names come from; here it would become one strange file.
        if plain.contains(&b'\\') {
            return Err(odd(name, "it has a backslash in it"));
        }
        let path = FilePath::from_bytes(plain).and_then(|path| self.to.append(&path).map(|_| path));
        path.map(Some).map_err(|error| odd(name, &error.to_string()))
    }

    /// What may still come out.
    pub(super) fn room(&self) -> u64 {
        MAX_BYTES.saturating_sub(self.staging.written())
    }
}

/// An archive that is not unpacked.
pub(super) fn refused(reason: &str) -> FileError {
    Why::ArchiveRefused(reason.to_owned()).into()
}

/// An entry that is not unpacked.
pub(super) fn odd(name: &[u8], reason: &str) -> FileError {
    let name: String = String::from_utf8_lossy(name).chars().take(QUOTED).collect();
    refused(&format!("the entry {name:?} cannot be unpacked: {reason}"))
}

/// Something cannot be read; an error of ours that comes out of a reader is kept.
pub(super) fn damaged(error: io::Error) -> FileError {
    match error.downcast::<FileError>() {
        Ok(own) => own,
        Err(error) => Why::ArchiveDamaged(error.to_string()).into(),
    }
}

/// Whether so much may come out of so few bytes.
pub(super) fn is_plausible(unpacked: u64, packed: u64) -> bool {
    unpacked <= FREE.saturating_add(packed.saturating_mul(RATIO))
}

/// The archive while it is read: how far, and how much came out.
pub(super) struct Bounded {
    packed: Rc<Cell<u64>>,
    /// What may be read before the next look.
    pub(super) allowed: Rc<Cell<u64>>,
}

impl Bounded {
    fn around(archive: &File) -> Result<(Counted<File>, Self)> {
        let packed = Rc::new(Cell::new(0));
        let raw = Counted { inner: archive.try_clone()?, count: Rc::clone(&packed) };
        Ok((raw, Self { packed, allowed: Rc::new(Cell::new(0)) }))
    }

    fn limit<R: Read>(&self, inner: R) -> Limited<R> {
        Limited { inner, packed: Rc::clone(&self.packed), allowed: Rc::clone(&self.allowed), unpacked: 0 }
    }
}

struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// What comes out, with an end to it.
pub(super) struct Limited<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    allowed: Rc<Cell<u64>>,
    unpacked: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        if !is_plausible(self.unpacked, self.packed.get()) {
            return Err(refused("far more would come out than went in (a bomb)").into());
        }
        let Some(left) = self.allowed.get().checked_sub(read as u64) else {
            return Err(refused("a name or a header in it is far too long").into());
        };
        self.allowed.set(left);
        Ok(read)
    }
}
