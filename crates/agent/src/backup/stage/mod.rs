//! Downloads a backup and unpacks it beside the data folder, where nothing uses it; it is believed only once every hash
//! has been checked.

mod compare;
mod fetch;
mod unpack;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use domain::agent::{BackupFacts, BackupManifestHead};
use reqwest::Client;
use rustix::fs::{statvfs, syncfs};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use self::{
    fetch::{Download, Feed, download},
    unpack::Unpacker,
};
use super::{
    error::BackupError,
    http, manifest,
    places::Places,
    report::{Report, percent, size},
};

/// Longest manifest as stored, in bytes: that of about ten million files.
const MAX_MANIFEST: u64 = 1 << 30;
/// Largest window of a Zstandard frame, as a power of two (128 MiB): what its `--ultra` levels use, and no more.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Entries between two tellings of progress.
const TELL_EVERY: u64 = 64;

/// What is to be done.
pub(super) struct Plan {
    archive: String,
    manifest: String,
    expect: BackupFacts,
    place: Place,
}

/// Where, and who is told.
pub(super) struct Place {
    pub(super) places: Places,
    pub(super) report: Report,
    pub(super) cancel: CancellationToken,
    /// The folder to be made.
    pub(super) into: PathBuf,
}

impl Plan {
    /// Of a backup at signed addresses, which must be as expected.
    pub(super) fn new(archive: String, manifest: String, expect: BackupFacts, place: Place) -> Self {
        Self { archive, manifest, expect, place }
    }

    /// Leaves the verified files in `into`, or fails; then whatever is there is to be dropped.
    pub(super) async fn run(self, compare: bool) -> Result<(), BackupError> {
        let http = http::client()?;
        self.place.report.detail("downloading the manifest", Some(0));
        self.fetch_manifest(&http).await?;
        self.check_space()?;
        let (reader, feed) = download(Some(self.expect.archive_bytes), u64::MAX);
        let address = self.archive.clone();
        let blocking = spawn_blocking(move || self.unpack(reader).and_then(|()| self.compare(compare)));
        both(feed, &http, &address, blocking).await
    }

    fn manifest_file(&self) -> PathBuf {
        self.place.places.work().join("manifest.zst")
    }

    async fn fetch_manifest(&self, http: &Client) -> Result<(), BackupError> {
        let (mut reader, feed) = download(None, MAX_MANIFEST);
        let (file, expected) = (self.manifest_file(), self.expect.manifest_sha256.clone());
        let blocking = spawn_blocking(move || {
            let at = |error| BackupError::at("the manifest", error);
            let mut file = File::create(file).map_err(at)?;
            io::copy(&mut reader, &mut file).map_err(at)?;
            let (_, sha256) = reader.finish();
            if sha256 == expected {
                Ok(())
            } else {
                Err(BackupError::Corrupt("the checksum of its manifest is wrong".to_owned()))
            }
        });
        both(feed, http, &self.manifest, blocking).await
    }

    fn check_space(&self) -> Result<(), BackupError> {
        let free =
            statvfs(self.place.places.work()).map_err(|errno| BackupError::at("the disk", errno.into()))?;
        let free = free.f_bavail.saturating_mul(free.f_frsize);
        if free < self.expect.content_bytes { Err(BackupError::DiskFull) } else { Ok(()) }
    }

    fn open_manifest(&self) -> Result<impl Read, BackupError> {
        let at = |error| BackupError::at("the manifest", error);
        let file = File::open(self.manifest_file()).map_err(at)?;
        zstd::Decoder::new(file).map(io::BufReader::new).map_err(at)
    }

    fn unpack(&self, reader: Download) -> Result<(), BackupError> {
        let damaged =
            |error: io::Error| BackupError::Corrupt(format!("its archive cannot be read ({error})"));
        let mut decoder = zstd::Decoder::new(reader).map_err(damaged)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(damaged)?;
        let mut archive = tar::Archive::new(&mut decoder);
        let mut unpacker =
            Unpacker::new(archive.entries().map_err(damaged)?, &self.place.into, &self.place.cancel);
        let mut count = 0_u64;
        manifest::read(
            self.open_manifest()?,
            |head| self.check(head),
            |entry| {
                unpacker.take(&entry)?;
                count += 1;
                if count.is_multiple_of(TELL_EVERY) {
                    let percent =
                        percent(unpacker.written, self.expect.content_bytes).map(|percent| percent.min(99));
                    self.place.report.detail(format!("unpacking ({})", size(unpacker.written)), percent);
                }
                Ok(())
            },
        )?;
        let written = unpacker.written;
        unpacker.finish()?;
        let mut rest = [0; 4096];
        loop {
            match decoder.read(&mut rest).map_err(damaged)? {
                0 => break,
                length if rest[..length].iter().all(|byte| *byte == 0) => {}
                _ => return Err(BackupError::Corrupt("something follows its archive".to_owned())),
            }
        }
        let (bytes, sha256) = decoder.finish().into_inner().finish();
        if (bytes, &sha256, written)
            != (self.expect.archive_bytes, &self.expect.archive_sha256, self.expect.content_bytes)
        {
            return Err(BackupError::Corrupt("the checksum of its archive is wrong".to_owned()));
        }
        self.sync().map_err(|error| BackupError::at("the disk", error))
    }

    /// The manifest's own word on what it belongs to.
    fn check(&self, head: &BackupManifestHead) -> Result<(), BackupError> {
        if head.facts(self.expect.manifest_sha256.clone()) == self.expect {
            Ok(())
        } else {
            Err(BackupError::Corrupt("its manifest is that of another backup".to_owned()))
        }
    }

    fn compare(&self, wanted: bool) -> Result<(), BackupError> {
        if !wanted {
            return Ok(());
        }
        self.place.report.detail("comparing", Some(99));
        let compare = |entry| compare::compare(&self.place.into, &entry, &self.place.cancel);
        manifest::read(self.open_manifest()?, |_| Ok(()), compare)
    }

    /// Once for all files: a sync of each would take minutes for ten thousand small ones.
    fn sync(&self) -> io::Result<()> {
        syncfs(File::open(&self.place.into)?)?;
        self.place.places.sync()
    }
}

/// Runs a download and what reads it. The download's failure says more than that of whoever waited for it.
async fn both(
    feed: Feed,
    http: &Client,
    address: &str,
    reading: tokio::task::JoinHandle<Result<(), BackupError>>,
) -> Result<(), BackupError> {
    let fetched = feed.run(http, address).await;
    let read =
        reading.await.unwrap_or_else(|error| Err(BackupError::at("the backup", io::Error::other(error))));
    fetched?;
    read
}

/// Drops a folder that is not needed any more; what cannot be dropped now is at the next boot.
pub(super) fn discard(places: &Places, folder: &Path) {
    if fs::symlink_metadata(folder).is_ok()
        && let Err(error) = places.discard(folder)
    {
        tracing::warn!(%error, folder = %folder.display(), "the folder {} could not be dropped and is at the next boot: {error}", folder.display());
    }
}
