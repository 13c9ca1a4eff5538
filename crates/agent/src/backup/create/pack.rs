//! Makes the archive and its manifest: one thread reads and hashes files, another one compresses and cuts into parts.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::PathBuf,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use ignore::gitignore::Gitignore;
use ring::digest::{Context, SHA256};
use rustix::fs::{Stat, fstat};
use tar::EntryType;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        error::BackupError,
        manifest::{Entry, Name},
    },
    parts::{Cut, Parts},
    tar::{Item, TarWriter},
    walk::{Content, mtime, walk},
};

/// Bytes handed from one thread to the other at once, and how many such pieces may wait.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 4;
/// zstd's own default: most of the gain for little of the time.
const LEVEL: i32 = 3;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What is to be packed.
pub(super) struct Order {
    pub(super) data: PathBuf,
    pub(super) ignored: Gitignore,
    /// Receives the manifest's entries, compressed.
    pub(super) entries: File,
    pub(super) parts: Parts,
    /// Told when the last file was read.
    pub(super) read: oneshot::Sender<()>,
    pub(super) cancel: CancellationToken,
    /// Told how many bytes of files were read.
    pub(super) progress: Box<dyn Fn(u64) + Send>,
}

/// What was packed.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) content_bytes: u64,
    pub(super) files: u64,
    pub(super) changed_files: u64,
    pub(super) skipped: u64,
    pub(super) archive: Cut,
}

/// Packs. Blocking; a failure of the upload shows as a failure to hand a part on.
pub(super) fn pack(order: Order) -> Result<Packed, BackupError> {
    let Order { data, ignored, entries, parts, read, cancel, progress } = order;
    let (pieces, arriving) = sync_channel::<Vec<u8>>(PIECES);
    let compressing = thread::Builder::new()
        .name("backup-zstd".to_owned())
        .spawn(move || compress(arriving, parts))
        .map_err(|error| BackupError::at("the archive", error))?;
    let packed = (|| {
        let manifest =
            zstd::Encoder::new(entries, LEVEL).map_err(|error| BackupError::at("the manifest", error))?;
        let tar = TarWriter::new(Pieces { to: pieces, piece: Vec::with_capacity(PIECE) });
        let mut packer = Packer {
            tar,
            manifest,
            packed: Packed::default(),
            buffer: vec![0; PIECE],
            cancel,
            progress,
            told: None,
        };
        walk(&data, &ignored, |path, found| packer.take(path, found))?;
        // Nobody waits when the work was given up.
        let _ = read.send(());
        packer.finish()
    })();
    let archive = compressing.join().unwrap_or_else(|_| Err(io::Error::other("compressing failed")));
    match (packed, archive) {
        (Ok(packed), Ok(archive)) => Ok(Packed { archive, ..packed }),
        // A failure there shows here as a channel that is closed.
        (_, Err(error)) => Err(BackupError::at("the archive", error)),
        (Err(error), Ok(_)) => Err(error),
    }
}

fn compress(arriving: std::sync::mpsc::Receiver<Vec<u8>>, parts: Parts) -> io::Result<Cut> {
    let mut encoder = zstd::Encoder::new(parts, LEVEL)?;
    encoder.include_checksum(true)?;
    for piece in arriving {
        encoder.write_all(&piece)?;
    }
    encoder.finish()?.finish()
}

/// Collects what is written into pieces.
struct Pieces {
    to: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Pieces {
    fn hand_on(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.to.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE {
            self.hand_on()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.hand_on() }
    }
}

struct Packer {
    tar: TarWriter<Pieces>,
    manifest: zstd::Encoder<'static, File>,
    packed: Packed,
    buffer: Vec<u8>,
    cancel: CancellationToken,
    progress: Box<dyn Fn(u64) + Send>,
    told: Option<Instant>,
}

impl Packer {
    fn take(&mut self, path: &Name, found: Content) -> Result<(), BackupError> {
        if self.cancel.is_cancelled() {
            return Err(BackupError::Aborted);
        }
        let entry = match found {
            Content::Folder(about) => self.folder(path, &about),
            Content::File(file, about) => self.file(path, file, &about),
            Content::Link(about, target) => self.link(path, &about, target),
            Content::Skipped(reason) => {
                self.packed.skipped += 1;
                Ok(Entry::Skipped { path: path.clone(), reason })
            }
        };
        self.note(&entry?).map_err(|error| BackupError::at("the manifest", error))
    }

    fn note(&mut self, entry: &Entry) -> io::Result<()> {
        // The first entry is the data folder itself, so a comma belongs before every other one.
        let first = matches!(entry, Entry::Folder { path, .. } if path.0.is_empty());
        self.manifest.write_all(if first { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut self.manifest, entry)?;
        Ok(())
    }

    fn folder(&mut self, path: &Name, about: &Stat) -> Result<Entry, BackupError> {
        let (mode, mtime) = (about.st_mode & 0o7777, mtime(about));
        let named = if path.0.is_empty() { b"./".to_vec() } else { [&path.0[..], b"/"].concat() };
        let kind = EntryType::Directory;
        self.begin(Item { path: &named, kind, mode, mtime, size: 0, target: b"" })?;
        Ok(Entry::Folder { path: path.clone(), mode, mtime })
    }

    fn link(&mut self, path: &Name, about: &Stat, target: Name) -> Result<Entry, BackupError> {
        let (kind, mtime) = (EntryType::Symlink, mtime(about));
        self.begin(Item { path: &path.0, kind, mode: 0o777, mtime, size: 0, target: &target.0 })?;
        Ok(Entry::Link { path: path.clone(), mtime, target })
    }

    /// Exactly the size that was announced goes into the archive, whatever becomes of the file meanwhile.
    fn file(&mut self, path: &Name, mut file: File, about: &Stat) -> Result<Entry, BackupError> {
        let (mode, mtime) = (about.st_mode & 0o7777, mtime(about));
        let size = u64::try_from(about.st_size).unwrap_or(0);
        let at = |error| BackupError::at(path.to_string(), error);
        self.begin(Item { path: &path.0, kind: EntryType::Regular, mode, mtime, size, target: b"" })?;
        let (mut hash, mut left, mut short) = (Context::new(&SHA256), size, false);
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let mut have = if short { 0 } else { file.read(&mut self.buffer[..want]).map_err(at)? };
            if have == 0 {
                (short, have) = (true, want);
                self.buffer[..want].fill(0);
            }
            hash.update(&self.buffer[..have]);
            self.tar.write_all(&self.buffer[..have]).map_err(lost)?;
            left -= have as u64;
            self.read(have as u64)?;
        }
        self.tar.pad(size).map_err(lost)?;
        let now = fstat(&file).map_err(|errno| at(errno.into()))?;
        let changed = short || trace(&now) != trace(about);
        self.packed.files += 1;
        self.packed.changed_files += u64::from(changed);
        let sparse = u64::try_from(about.st_blocks).unwrap_or(0).saturating_mul(512) < size;
        let sha256 = hex::encode(hash.finish());
        Ok(Entry::File { path: path.clone(), mode, mtime, size, sha256, changed, sparse })
    }

    fn begin(&mut self, item: Item<'_>) -> Result<(), BackupError> {
        self.tar.begin(item).map_err(lost)
    }

    fn read(&mut self, bytes: u64) -> Result<(), BackupError> {
        self.packed.content_bytes += bytes;
        if self.cancel.is_cancelled() {
            return Err(BackupError::Aborted);
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            (self.progress)(self.packed.content_bytes);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Packed, BackupError> {
        let manifest = |error| BackupError::at("the manifest", error);
        self.manifest.write_all(b"\n]}\n").map_err(manifest)?;
        self.manifest.finish().map_err(manifest)?.sync_data().map_err(manifest)?;
        self.tar.finish().and_then(|mut pieces| pieces.flush()).map_err(lost)?;
        Ok(self.packed)
    }
}

/// What shows that a file was written to.
fn trace(about: &Stat) -> (i64, i64, i64, i64, i64) {
    let nanoseconds = |value| i64::try_from(value).unwrap_or(0);
    (
        about.st_size,
        about.st_mtime,
        nanoseconds(about.st_mtime_nsec),
        about.st_ctime,
        nanoseconds(about.st_ctime_nsec),
    )
}

/// The other thread has ended; why is its to say.
fn lost(error: io::Error) -> BackupError {
    BackupError::at("the archive", error)
}
