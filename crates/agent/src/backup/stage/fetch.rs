//! Downloading: one stream, taken up again where it broke off.

use std::{
    io::{self, Read},
    time::Duration,
};

use reqwest::{Client, Response, StatusCode, header};
use ring::digest::{Context, SHA256};
use tokio::{
    sync::mpsc::{self, error::SendTimeoutError},
    time::sleep,
};
use tokio_util::bytes::{Buf as _, Bytes};
use tracing::warn;

use super::super::{
    error::BackupError,
    http::{Meaning, PAUSES, brief, meaning},
};

/// Pieces that may wait to be unpacked.
const PIECES: usize = 16;
/// Longest wait for whoever unpacks: a slow disk.
const STUCK: Duration = Duration::from_mins(5);

/// The blocking end of a download. Reading fails when the download has.
pub(super) struct Download {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    hash: Context,
    read: u64,
}

impl Download {
    /// What was read: length and hash, hex.
    pub(super) fn finish(self) -> (u64, String) {
        (self.read, hex::encode(self.hash.finish()))
    }
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let taken = self.piece.len().min(into.len());
        into[..taken].copy_from_slice(&self.piece[..taken]);
        self.hash.update(&into[..taken]);
        self.piece.advance(taken);
        self.read += taken as u64;
        Ok(taken)
    }
}

/// Both ends: the reader, and what feeds it when it is run. Without a length it is what the storage says, if that is
/// at most `limit`.
pub(super) fn download(bytes: Option<u64>, limit: u64) -> (Download, Feed) {
    let (send, pieces) = mpsc::channel(PIECES);
    let reader = Download { pieces, piece: Bytes::new(), hash: Context::new(&SHA256), read: 0 };
    (reader, Feed { send, bytes, limit, sent: 0 })
}

/// The asynchronous end.
pub(super) struct Feed {
    send: mpsc::Sender<Bytes>,
    bytes: Option<u64>,
    limit: u64,
    sent: u64,
}

enum Failure {
    Passing(String),
    Final(BackupError),
}

impl Feed {
    /// Downloads all of it, whatever the number of tries. Ends early when nobody reads any more.
    pub(super) async fn run(mut self, http: &Client, address: &str) -> Result<(), BackupError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let before = self.sent;
            match self.attempt(http, address).await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(reason)) => {
                    if self.sent > before {
                        // It came further, so it counts as a first try again.
                        pauses = PAUSES.into_iter();
                    }
                    let Some(pause) = pauses.next() else { return Err(BackupError::Storage(reason)) };
                    warn!(
                        reason,
                        ?pause,
                        at = self.sent,
                        "a download of a backup broke off at byte {} ({reason}); it goes on in {pause:?}",
                        self.sent
                    );
                    sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&mut self, http: &Client, address: &str) -> Result<(), Failure> {
        let mut request = http.get(address);
        if self.sent > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.sent));
        }
        let answer = request.send().await.map_err(|error| Failure::Passing(brief(&error)))?;
        let bytes = self.check(&answer)?;
        self.bytes = Some(bytes);
        let mut answer = answer;
        while let Some(piece) = answer.chunk().await.map_err(|error| Failure::Passing(brief(&error)))? {
            self.sent += piece.len() as u64;
            if self.sent > bytes {
                let what = format!("it is longer than {bytes} bytes");
                return Err(Failure::Final(BackupError::Corrupt(what)));
            }
            if !self.hand_on(piece, STUCK).await? {
                return Ok(());
            }
        }
        if self.sent < bytes {
            return Err(Failure::Passing(format!("it sent {} of {bytes} bytes", self.sent)));
        }
        Ok(())
    }

    /// False when nobody reads any more: the reader has given up, and knows why. One that is there has so long to take it.
    async fn hand_on(&self, piece: Bytes, limit: Duration) -> Result<bool, Failure> {
        match self.send.send_timeout(piece, limit).await {
            Ok(()) => Ok(true),
            Err(SendTimeoutError::Closed(_)) => Ok(false),
            Err(SendTimeoutError::Timeout(_)) => {
                let slow = io::Error::new(io::ErrorKind::TimedOut, "it takes too long to write to");
                Err(Failure::Final(BackupError::at("the disk", slow)))
            }
        }
    }

    /// The length of all, when the answer is what was asked for.
    fn check(&self, answer: &Response) -> Result<u64, Failure> {
        let status = answer.status();
        let reason = format!("it answered {status}");
        let corrupt = |what: String| Err(Failure::Final(BackupError::Corrupt(what)));
        match (meaning(status), status) {
            (Meaning::Done, StatusCode::OK) if self.sent == 0 => {
                match (answer.content_length(), self.bytes) {
                    (None, None) => {
                        Err(Failure::Final(BackupError::Storage("it did not say a length".to_owned())))
                    }
                    (Some(length), Some(bytes)) if length != bytes => {
                        corrupt(format!("it has {length} bytes instead of {bytes}"))
                    }
                    (Some(length), None) if length > self.limit => {
                        corrupt(format!("it is longer than {} bytes", self.limit))
                    }
                    (length, bytes) => Ok(bytes.or(length).unwrap_or(0)),
                }
            }
            (Meaning::Done, StatusCode::PARTIAL_CONTENT) if self.sent > 0 => Ok(self.bytes.unwrap_or(0)),
            (_, StatusCode::NOT_FOUND) => corrupt("it is not there".to_owned()),
            (Meaning::Passing, _) => Err(Failure::Passing(reason)),
            _ => Err(Failure::Final(BackupError::Storage(reason))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_takes_nothing_is_not_a_damaged_backup_and_a_reader_that_gave_up_is_no_failure() {
        let (reader, feed) = download(None, u64::MAX);
        let hand_on = || feed.hand_on(Bytes::from_static(b"piece"), Duration::from_millis(1));
        for _ in 0..PIECES {
            assert!(matches!(hand_on().await, Ok(true)));
        }
        let stuck = hand_on().await;
        assert!(matches!(stuck, Err(Failure::Final(BackupError::Files { .. }))));
        drop(reader);
        assert!(matches!(hand_on().await, Ok(false)));
    }
}
