//! Puts a manifest together: its head, and the entries that were compressed on the way. It may have gigabytes.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use domain::agent::BackupManifestHead;
use ring::digest::{Context, SHA256};
use tokio::task::spawn_blocking;

use super::super::error::BackupError;

/// Writes `manifest`; its hash, hex.
pub(super) async fn assemble(
    head: &BackupManifestHead,
    entries: PathBuf,
    manifest: PathBuf,
) -> Result<String, BackupError> {
    let text = serde_json::to_vec(head).map_err(|error| BackupError::at("the manifest", error.into()))?;
    spawn_blocking(move || write(text, &entries, &manifest))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| BackupError::at("the manifest", error))
}

fn write(mut head: Vec<u8>, entries: &Path, manifest: &Path) -> io::Result<String> {
    head.truncate(head.len() - 1);
    head.extend_from_slice(b",\"entries\":[");
    let first = zstd::encode_all(&head[..], 0)?;
    let mut file = File::create(manifest)?;
    file.write_all(&first)?;
    io::copy(&mut File::open(entries)?, &mut file)?;
    let mut hash = Context::new(&SHA256);
    io::copy(&mut File::open(manifest)?, &mut Hashing(&mut hash))?;
    Ok(hex::encode(hash.finish()))
}

struct Hashing<'h>(&'h mut Context);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use domain::{agent::BackupConsistency, ids::BackupId};
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn head() -> BackupManifestHead {
        BackupManifestHead {
            format: String::new(),
            version: 1,
            backup: BackupId::generate(),
            created_at: shim::clock::now(),
            consistency: BackupConsistency::Down,
            archive_bytes: 0,
            archive_sha256: String::new(),
            content_bytes: 0,
            files: 0,
            changed_files: 0,
            skipped: 0,
        }
    }

    #[tokio::test]
    async fn while_a_manifest_is_copied_everything_else_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (entries, manifest) = (folder.path().join("entries"), folder.path().join("manifest"));
        // Reading it waits for somebody to write, who waits to hear of the rest of us.
        mknodat(CWD, &entries, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (tell, heard) = mpsc::channel();
        let writer = std::thread::spawn({
            let entries = entries.clone();
            move || {
                let went_on = heard.recv_timeout(Duration::from_secs(5)).is_ok();
                std::fs::write(entries, "rest").unwrap();
                went_on
            }
        });
        let of = head();
        let (assembled, ()) = tokio::join!(assemble(&of, entries, manifest.clone()), async {
            tell.send(()).unwrap();
        });
        assert!(writer.join().unwrap(), "the manifest was copied by the thread that serves everybody");
        assert!(assembled.is_ok());
        assert!(std::fs::read(manifest).unwrap().ends_with(b"rest"));
    }
}
