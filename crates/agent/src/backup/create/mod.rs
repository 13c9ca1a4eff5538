//! Makes a backup: the game flushes its files, they are packed, uploaded in parts as they come, and then the manifest.
//! A manifest in the storage means that the archive before it is complete.

mod assemble;
mod pack;
mod parts;
mod tar;
mod upload;
mod walk;

use std::{fs, io, path::PathBuf};

use domain::{
    agent::{
        BACKUP_FORMAT, BACKUP_VERSION, BackupConsistency, BackupFacts, BackupManifestHead, BackupWork,
        MAX_BACKUP_PARTS, UploadedPart,
    },
    ids::BackupId,
};
use shim::clock;
use tokio::{
    sync::{oneshot, watch},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

pub(super) use self::upload::Addresses;
use self::{
    assemble::assemble,
    pack::{Order, Packed, pack},
    parts::{Ready, parts},
    upload::{Uploader, Which},
};
use super::{
    error::BackupError,
    http,
    places::Places,
    report::{Report, percent, size},
};

/// Whether parts of this size make sense: small ones cost a request each, a large one must be sent again as a whole.
pub(super) fn check(work: &BackupWork) -> Result<(), String> {
    match work {
        BackupWork::Create { part_bytes, .. } if !(64 * 1024..=1 << 30).contains(part_bytes) => {
            Err("parts have between 64 KiB and 1 GiB".to_owned())
        }
        _ => Ok(()),
    }
}

/// What is to be made.
pub(super) struct Plan {
    pub(super) backup: BackupId,
    pub(super) ignore: Vec<String>,
    pub(super) part_bytes: u64,
    pub(super) addresses: watch::Sender<Addresses>,
    pub(super) places: Places,
    pub(super) report: Report,
    pub(super) cancel: CancellationToken,
    /// What the data folder is thought to hold, for showing progress; 0 when nobody knows.
    pub(super) estimate: u64,
}

impl Plan {
    fn entries(&self) -> PathBuf {
        self.places.work().join("entries.zst")
    }

    fn manifest(&self) -> PathBuf {
        self.places.work().join("manifest.zst")
    }

    /// Makes the backup. `read` is told as soon as no more files are read.
    pub(super) async fn run(
        self,
        consistency: BackupConsistency,
        read: oneshot::Sender<()>,
    ) -> Result<BackupFacts, BackupError> {
        let uploader = Uploader {
            http: http::client()?,
            addresses: self.addresses.clone(),
            report: self.report.clone(),
        };
        let (writer, ready) = parts(self.places.work(), self.part_bytes);
        let order = Order {
            data: self.places.data(),
            ignored: walk::patterns(&self.ignore)?,
            entries: fs::File::create(self.entries())
                .map_err(|error| BackupError::at("the manifest", error))?,
            parts: writer,
            read,
            cancel: self.cancel.clone(),
            progress: self.progress(),
        };
        let packing = spawn_blocking(move || pack(order));
        let sent = self.upload(&uploader, ready).await;
        let packed = packing
            .await
            .unwrap_or_else(|error| Err(BackupError::at("the archive", io::Error::other(error))));
        // When the upload gives up, packing has nowhere to go: its own failure says less.
        sent?;
        let packed = packed?;
        if packed.archive.bytes > self.part_bytes.saturating_mul(MAX_BACKUP_PARTS.into()) {
            return Err(BackupError::Storage("the files are too large for one backup".to_owned()));
        }
        self.report.detail("uploading the manifest", Some(99));
        let facts = self.write_manifest(consistency, &packed).await?;
        let bytes =
            fs::metadata(self.manifest()).map_err(|error| BackupError::at("the manifest", error))?.len();
        uploader.upload(Which::Manifest, &self.manifest(), bytes).await?;
        Ok(facts)
    }

    fn progress(&self) -> Box<dyn Fn(u64) + Send> {
        let (report, estimate) = (self.report.clone(), self.estimate);
        Box::new(move |done| {
            // Never all of it: the upload ends after the packing.
            let percent = percent(done, estimate).map(|percent| percent.min(98));
            report.detail(format!("packing ({} read)", size(done)), percent);
        })
    }

    async fn upload(&self, uploader: &Uploader, mut ready: Ready) -> Result<(), BackupError> {
        while let Some(part) = ready.parts.recv().await {
            let stored = uploader.upload(Which::Part(part.number), &part.file, part.bytes).await?;
            if stored.etag.is_empty() {
                return Err(BackupError::Storage("it did not say what it has stored (ETag)".to_owned()));
            }
            self.tell(stored);
            ready.done(&part).map_err(|error| BackupError::at("a part", error))?;
        }
        Ok(())
    }

    fn tell(&self, uploaded: UploadedPart) {
        self.report.change(|status| {
            status.uploaded.push(uploaded);
            let bytes = status.uploaded.iter().map(|part| part.bytes).sum();
            status.detail = format!("uploading ({})", size(bytes));
        });
    }

    /// Puts the head before the entries, which were compressed on the way.
    async fn write_manifest(
        &self,
        consistency: BackupConsistency,
        packed: &Packed,
    ) -> Result<BackupFacts, BackupError> {
        let head = BackupManifestHead {
            format: BACKUP_FORMAT.to_owned(),
            version: BACKUP_VERSION,
            backup: self.backup,
            created_at: clock::now(),
            consistency,
            archive_bytes: packed.archive.bytes,
            archive_sha256: packed.archive.sha256.clone(),
            content_bytes: packed.content_bytes,
            files: packed.files,
            changed_files: packed.changed_files,
            skipped: packed.skipped,
        };
        let sha256 = assemble(&head, self.entries(), self.manifest()).await?;
        Ok(head.facts(sha256))
    }
}
