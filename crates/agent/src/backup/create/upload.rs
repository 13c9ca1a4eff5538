//! Uploading: each try sends the whole part again, from its file.

use std::{path::Path, time::Duration};

use domain::agent::UploadedPart;
use reqwest::{Body, Client, header};
use tokio::{
    fs::File,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::io::ReaderStream;
use tracing::warn;

use super::super::{
    error::BackupError,
    http::{Meaning, PAUSES, brief, meaning},
    report::Report,
};

/// Longest upload of one part: 64 MiB at 128 KiB/s.
const PART_DEADLINE: Duration = Duration::from_secs(520);
/// How long to wait for new addresses: the worker may be away.
const ADDRESS_DEADLINE: Duration = Duration::from_mins(10);
/// How often new addresses of the same thing may be refused before it is not their age.
const ROUNDS: u32 = 3;
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Where to upload to. Never written down.
#[derive(Clone, Debug, Default)]
pub(in crate::backup) struct Addresses {
    /// The first part's first.
    pub(in crate::backup) parts: Vec<String>,
    pub(in crate::backup) manifest: Option<String>,
}

impl Addresses {
    /// Adds addresses from part `first` on; those known from there on are replaced.
    pub(in crate::backup) fn add(
        &mut self,
        first: u32,
        parts: &[String],
        manifest: &str,
    ) -> Result<(), String> {
        let before =
            usize::try_from(first).unwrap_or(usize::MAX).checked_sub(1).ok_or("parts are counted from 1")?;
        if before > self.parts.len() {
            return Err(format!("part {} has no address yet", self.parts.len() + 1));
        }
        self.parts.truncate(before);
        self.parts.extend_from_slice(parts);
        self.manifest = Some(manifest.to_owned());
        Ok(())
    }

    pub(in crate::backup) fn known(&self) -> u32 {
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }

    fn of(&self, what: Which) -> Option<String> {
        match what {
            Which::Part(number) => self.parts.get(usize::try_from(number).ok()?.checked_sub(1)?).cloned(),
            Which::Manifest => self.manifest.clone(),
        }
    }

    fn forget(&mut self, what: Which) {
        match what {
            Which::Part(number) => {
                self.parts.truncate(usize::try_from(number).map_or(0, |number| number - 1));
            }
            Which::Manifest => self.manifest = None,
        }
    }
}

/// What is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// From 1.
    Part(u32),
    Manifest,
}

/// Uploads to addresses as they come.
pub(super) struct Uploader {
    pub(super) http: Client,
    pub(super) addresses: watch::Sender<Addresses>,
    pub(super) report: Report,
}

enum Failure {
    Passing(String),
    Expired(String),
    Final(BackupError),
}

impl Uploader {
    /// Uploads a file of so many bytes, however often that takes.
    pub(super) async fn upload(
        &self,
        what: Which,
        file: &Path,
        bytes: u64,
    ) -> Result<UploadedPart, BackupError> {
        let (mut pauses, mut rounds) = (PAUSES.into_iter(), 0);
        loop {
            let address = self.address(what).await?;
            match self.attempt(&address, file, bytes).await {
                Ok(etag) => return Ok(UploadedPart { etag: etag.unwrap_or_default(), bytes }),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Expired(reason)) => {
                    rounds += 1;
                    if rounds > ROUNDS {
                        return Err(BackupError::Storage(reason));
                    }
                    warn!(
                        ?what,
                        reason,
                        "an address for {what:?} was refused ({reason}); the upload waits for another one"
                    );
                    self.addresses.send_modify(|known| known.forget(what));
                }
                Err(Failure::Passing(reason)) => {
                    let Some(pause) = pauses.next() else { return Err(BackupError::Storage(reason)) };
                    warn!(
                        ?what,
                        reason,
                        ?pause,
                        "the upload of {what:?} broke off ({reason}); it is tried again in {pause:?}"
                    );
                    sleep(pause).await;
                }
            }
        }
    }

    /// The address, as soon as there is one.
    async fn address(&self, what: Which) -> Result<String, BackupError> {
        let mut known = self.addresses.subscribe();
        let mut wait = async || loop {
            let (address, count) = {
                let known = known.borrow_and_update();
                (known.of(what), known.known())
            };
            self.report.change(|status| {
                status.parts_known = count;
                status.needs_addresses = address.is_none();
            });
            match address {
                Some(address) => return address,
                // The sender is ours.
                None => drop(known.changed().await),
            }
        };
        timeout(ADDRESS_DEADLINE, wait())
            .await
            .map_err(|_| BackupError::Storage("nobody said where to upload to".to_owned()))
    }

    async fn attempt(&self, address: &str, file: &Path, bytes: u64) -> Result<Option<String>, Failure> {
        let open =
            File::open(file).await.map_err(|error| Failure::Final(BackupError::at("a part", error)))?;
        let body = Body::wrap_stream(ReaderStream::with_capacity(open, CHUNK));
        let request = self.http.put(address).header(header::CONTENT_LENGTH, bytes).timeout(PART_DEADLINE);
        let answer = request.body(body).send().await.map_err(|error| {
            if error.is_builder() {
                Failure::Final(BackupError::Invalid("An address for the upload makes no sense".to_owned()))
            } else {
                Failure::Passing(brief(&error))
            }
        })?;
        let status = answer.status();
        let reason = format!("it answered {status}");
        match meaning(status) {
            Meaning::Done => {
                let etag = answer.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
                Ok(etag.map(str::to_owned))
            }
            Meaning::Passing => Err(Failure::Passing(reason)),
            Meaning::Expired => Err(Failure::Expired(reason)),
            Meaning::Final => Err(Failure::Final(BackupError::Storage(reason))),
        }
    }
}
