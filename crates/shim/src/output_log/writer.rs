//! The one who writes.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    SEGMENT,
    record::{self, Decoded, HEADER, MAX_TEXT},
    segment_path, segments,
};

/// Written at once, in bytes; what is added beyond is written first.
const BATCH: usize = 64 * 1024;

/// Appends entries. The caller sees to it that there is only one (`custody`).
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    limit: u64,
    /// The number of the next entry.
    next: u64,
    /// Segments before the current one: first number and length, oldest first.
    full: VecDeque<(u64, u64)>,
    /// None until there is something to write, and after a failure: the next entry then begins a segment, so that
    /// the numbers lost in between show.
    current: Option<Segment>,
    batch: Vec<u8>,
    /// Entries in `batch`.
    batched: u64,
}

#[derive(Debug)]
struct Segment {
    first: u64,
    length: u64,
    file: File,
}

impl Writer {
    /// Goes on where the last writer stopped. What it left half written is cut off.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        let mut full = VecDeque::new();
        let mut last = None;
        for first in segments(folder)? {
            full.extend(last.replace((first, fs::metadata(segment_path(folder, first))?.len())));
        }
        let (folder, batch) = (folder.to_owned(), Vec::with_capacity(BATCH));
        let mut writer = Self { folder, limit, next: 1, full, current: None, batch, batched: 0 };
        if let Some((first, _)) = last {
            writer.go_on(first)?;
        }
        Ok(writer)
    }

    /// The number that the next entry will get.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Gives no number before `next`: those have been told, though nothing of them is kept.
    pub fn go_on_from(&mut self, next: u64) {
        if self.next < next {
            self.flush();
            self.close();
            self.next = next;
        }
    }

    /// Adds an entry, at most [`MAX_TEXT`] bytes of it. It is written with the next [`Self::flush`] at the latest.
    pub fn add(&mut self, at_ms: i64, text: &[u8]) {
        let text = &text[..text.len().min(MAX_TEXT)];
        let length = (HEADER + text.len()) as u64;
        let used = self.current.as_ref().map_or(0, |segment| segment.length) + self.batch.len() as u64;
        if self.batch.len() + text.len() + HEADER > BATCH || used + length > SEGMENT {
            self.flush();
        }
        if self
            .current
            .as_ref()
            .is_some_and(|segment| segment.length + self.batch.len() as u64 + length > SEGMENT)
        {
            self.close();
        }
        record::encode(&mut self.batch, self.next, at_ms, text);
        self.batched += 1;
        self.next += 1;
    }

    /// Writes what was added. On a full disk the oldest output makes room; if that does not help, or something else is
    /// wrong, what was added is lost, which its numbers show. The game never waits for room.
    pub fn flush(&mut self) {
        if self.batched > 0 {
            let mut written = self.write();
            while written.as_ref().is_err_and(is_full) && self.drop_oldest() {
                written = self.write();
            }
        }
        if self.batched > 0 {
            self.close();
        }
        self.batched = 0;
        self.batch.clear();
    }

    /// Everything that was written is on disk when this returns.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush();
        self.current.as_ref().map_or(Ok(()), |segment| segment.file.sync_all())
    }

    /// Puts the batch into its segment.
    fn write(&mut self) -> io::Result<()> {
        let mut segment = match self.current.take() {
            Some(segment) => segment,
            None => self.begin()?,
        };
        let written = segment.file.write_all(&self.batch);
        if written.is_ok() {
            segment.length += self.batch.len() as u64;
            self.batched = 0;
        }
        // Part of it may have been written. If not even that can be undone, nothing may follow it.
        let whole = written.is_ok() || segment.file.set_len(segment.length).is_ok();
        self.current = Some(segment);
        if !whole {
            self.close();
        }
        written
    }

    fn begin(&mut self) -> io::Result<Segment> {
        while self.used() + SEGMENT > self.limit && self.drop_oldest() {}
        let first = self.next - self.batched;
        // Truncated: one of this name can only be one that nothing was ever written to.
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(0o600);
        let file = options.open(segment_path(&self.folder, first))?;
        file.set_len(0)?;
        // Where nothing was ever written, only the newest name says anything.
        while let Some((empty, _)) = self.full.pop_back_if(|(old, length)| *length == 0 && *old != first) {
            self.remove(empty);
        }
        Ok(Segment { first, length: 0, file })
    }

    fn close(&mut self) {
        self.full.extend(self.current.take().map(|segment| (segment.first, segment.length)));
    }

    fn used(&self) -> u64 {
        self.full.iter().map(|(_, length)| length).sum()
    }

    /// False when there is none but the newest: its name is what numbers go on from.
    fn drop_oldest(&mut self) -> bool {
        if self.current.is_none() && self.full.len() < 2 {
            return false;
        }
        let Some((oldest, _)) = self.full.pop_front() else { return false };
        self.remove(oldest);
        true
    }

    /// One that cannot be removed is forgotten all the same: the bound is kept by those that can.
    fn remove(&self, first: u64) {
        let _ = fs::remove_file(segment_path(&self.folder, first));
    }

    /// Takes up the last segment.
    fn go_on(&mut self, first: u64) -> io::Result<()> {
        let path = segment_path(&self.folder, first);
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        let mut bytes = vec![0; usize::try_from(size.min(SEGMENT)).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0)?;
        let (mut at, mut next) = (0, first);
        let end = loop {
            match record::decode(&bytes[at..], next) {
                Decoded::Record { text, .. } => {
                    at += HEADER + text.len();
                    next += 1;
                }
                end => break end,
            }
        };
        let length = at as u64;
        self.next = next;
        if length < size {
            file.set_len(length)?;
        }
        if matches!(end, Decoded::Damaged) {
            // Readers may have been told of entries that stood there: their numbers are not given again.
            self.next += (size - length) / HEADER as u64 + 1;
            self.full.push_back((first, length));
        } else {
            self.current = Some(Segment { first, length, file });
        }
        Ok(())
    }
}

/// Whether less output would help.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
