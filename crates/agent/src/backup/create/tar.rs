//! Writes tar: GNU headers, long names as GNU writes them (they may be any bytes), times with nanoseconds as pax does.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::super::manifest::Time;

const BLOCK: usize = 512;
/// Longest name that fits into a header.
const NAME: usize = 100;

/// An archive in the making.
pub(super) struct TarWriter<W> {
    to: W,
}

/// What an entry is, besides its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'i> {
    pub(super) path: &'i [u8],
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) mtime: Time,
    pub(super) size: u64,
    pub(super) target: &'i [u8],
}

impl<W: Write> TarWriter<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to }
    }

    /// Begins an entry; exactly `size` bytes are to follow, and then [`TarWriter::pad`].
    pub(super) fn begin(&mut self, item: Item<'_>) -> io::Result<()> {
        let (seconds, nanoseconds) = item.mtime;
        if nanoseconds != 0 || seconds < 0 {
            self.extra(EntryType::XHeader, b"././@PaxHeader", &pax_time(item.mtime))?;
        }
        for (text, kind) in [(item.path, EntryType::GNULongName), (item.target, EntryType::GNULongLink)] {
            if text.len() > NAME {
                self.extra(kind, b"././@LongLink", &[text, b"\0"].concat())?;
            }
        }
        self.header(item)
    }

    /// Ends an entry of so many bytes.
    pub(super) fn pad(&mut self, size: u64) -> io::Result<()> {
        let block = BLOCK as u64;
        let rest = usize::try_from((block - size % block) % block).unwrap_or(0);
        self.to.write_all(&[0; BLOCK][..rest])
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        Ok(self.to)
    }

    fn extra(&mut self, kind: EntryType, name: &[u8], content: &[u8]) -> io::Result<()> {
        let size = content.len() as u64;
        self.header(Item { path: name, kind, mode: 0o644, mtime: (0, 0), size, target: b"" })?;
        self.to.write_all(content)?;
        self.pad(size)
    }

    fn header(&mut self, item: Item<'_>) -> io::Result<()> {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        copy(&mut old.name, item.path);
        copy(&mut old.linkname, item.target);
        header.set_entry_type(item.kind);
        header.set_mode(item.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(item.size);
        header.set_mtime(u64::try_from(item.mtime.0).unwrap_or(0));
        header.set_cksum();
        self.to.write_all(header.as_bytes())
    }
}

impl<W: Write> Write for TarWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn copy(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// `LENGTH mtime=SECONDS.FRACTION\n`, where the length counts itself (POSIX, pax).
fn pax_time((seconds, nanoseconds): Time) -> Vec<u8> {
    // Before 1970 the fraction still counts forward; pax wants a decimal number.
    let value = if seconds < 0 && nanoseconds != 0 {
        format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
    } else {
        format!("{seconds}.{nanoseconds:09}")
    };
    let record = format!(" mtime={value}\n");
    let mut length = record.len() + 1;
    while length != record.len() + length.to_string().len() {
        length = record.len() + length.to_string().len();
    }
    format!("{length}{record}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_pax_wants_them() {
        assert_eq!(pax_time((1_700_000_000, 5)), b"30 mtime=1700000000.000000005\n");
        assert_eq!(pax_time((-2, 500_000_000)), b"22 mtime=-1.500000000\n");
        assert_eq!(pax_time((0, 0)), b"21 mtime=0.000000000\n");
    }
}
