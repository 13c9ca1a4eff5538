//! Cuts the archive into parts, each a file until it is uploaded. At most two of them are on disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::mpsc,
};

use ring::digest::{Context, SHA256};
use tokio::sync::mpsc as task;

/// Parts on disk at once: one is written while one is uploaded.
const ON_DISK: usize = 2;

/// A part that can be uploaded.
#[derive(Debug)]
pub(super) struct Part {
    /// From 1.
    pub(super) number: u32,
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub(super) bytes: u64,
    /// Hex.
    pub(super) sha256: String,
}

/// The writing end.
pub(super) struct Parts {
    folder: PathBuf,
    part_bytes: u64,
    hash: Context,
    total: u64,
    number: u32,
    open: Option<(File, u64)>,
    permits: mpsc::Receiver<()>,
    ready: task::Sender<Part>,
}

/// The uploading end.
pub(super) struct Ready {
    pub(super) parts: task::Receiver<Part>,
    permits: mpsc::SyncSender<()>,
}

impl Ready {
    /// An uploaded part makes room for another one.
    pub(super) fn done(&self, part: &Part) -> io::Result<()> {
        fs::remove_file(&part.file)?;
        // Nobody needs room once the last part was written.
        let _ = self.permits.try_send(());
        Ok(())
    }
}

/// Both ends of a new archive, with parts of this size in `folder`.
pub(super) fn parts(folder: PathBuf, part_bytes: u64) -> (Parts, Ready) {
    let (permits, room) = mpsc::sync_channel(ON_DISK);
    for _ in 0..ON_DISK {
        // There is room for as many.
        let _ = permits.try_send(());
    }
    let (ready, parts) = task::channel(ON_DISK);
    let hash = Context::new(&SHA256);
    let writer = Parts { folder, part_bytes, hash, total: 0, number: 0, open: None, permits: room, ready };
    (writer, Ready { parts, permits })
}

impl Parts {
    fn file(&self, number: u32) -> PathBuf {
        self.folder.join(format!("part-{number}"))
    }

    fn hand_on(&mut self) -> io::Result<()> {
        if let Some((_, bytes)) = self.open.take() {
            let part = Part { number: self.number, file: self.file(self.number), bytes };
            self.ready.blocking_send(part).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Cut> {
        self.hand_on()?;
        Ok(Cut { bytes: self.total, sha256: hex::encode(self.hash.finish()) })
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open.is_none() {
            self.permits.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.number += 1;
            self.open = Some((File::create(self.file(self.number))?, 0));
        }
        let Some((file, written)) = &mut self.open else { return Ok(0) };
        let room = usize::try_from(self.part_bytes - *written).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(room)];
        file.write_all(taken)?;
        self.hash.update(taken);
        *written += taken.len() as u64;
        self.total += taken.len() as u64;
        if *written == self.part_bytes {
            self.hand_on()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
