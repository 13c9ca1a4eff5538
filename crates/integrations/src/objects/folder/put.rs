//! Taking what agents upload: streamed to disk, bounded, and not there until it is whole.

use std::{io, time::Duration};

use axum::body::Body;
use futures_util::StreamExt as _;
use ring::digest::{Context, SHA256};
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter},
    task::spawn_blocking,
    time::timeout,
};

use super::{FolderStore, disk::Arrived};

/// Longest silence of an uploading agent.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes collected before they are written.
const BUFFER: usize = 512 * 1024;
/// Longest object that is not uploaded in parts, in bytes: the manifest of a few million files.
const MAX_OBJECT: u64 = 512 * 1024 * 1024;

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PutError {
    #[error("there is no such upload")]
    NoUpload,
    #[error("an earlier try is not over yet")]
    Busy,
    #[error("there is another object of that name, which is not replaced")]
    Exists,
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    #[error("nothing came for {} s", IDLE.as_secs())]
    Idle,
    #[error("it broke off")]
    BrokenOff,
    #[error("it cannot be written: {0}")]
    Disk(#[from] io::Error),
}

impl FolderStore {
    /// Takes a part; answers with its `ETag`.
    pub(super) async fn put_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        body: Body,
    ) -> Result<String, PutError> {
        let disk = self.disk.clone();
        let slot = blocking(move || disk.part(&key, &upload, number)).await.map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock { PutError::Busy } else { PutError::Disk(error) }
        })?;
        let slot = slot.ok_or(PutError::NoUpload)?;
        let mut file = File::from_std(slot.file()?);
        let offset = u64::from(number.saturating_sub(1)).saturating_mul(self.part_bytes);
        file.seek(io::SeekFrom::Start(offset)).await?;
        let arrived = receive(body, file, self.part_bytes).await?;
        let etag = arrived.etag.clone();
        blocking(move || slot.arrived(&arrived)).await?;
        Ok(etag)
    }

    /// Takes a whole object; answers with its `ETag`.
    pub(super) async fn put_object(&self, key: String, body: Body) -> Result<String, PutError> {
        let disk = self.disk.clone();
        let (file, draft) = blocking(move || disk.draft()).await?;
        let received = receive(body, File::from_std(file), MAX_OBJECT).await;
        let disk = self.disk.clone();
        match received {
            Ok(arrived) => {
                let finished = blocking(move || {
                    let finished = disk.finish(&draft, &key);
                    disk.drop_draft(&draft);
                    finished
                });
                if finished.await? { Ok(arrived.etag) } else { Err(PutError::Exists) }
            }
            Err(error) => {
                blocking(move || {
                    disk.drop_draft(&draft);
                    Ok(())
                })
                .await?;
                Err(error)
            }
        }
    }
}

/// Writes the body; all of it is on disk when this returns.
async fn receive(body: Body, file: File, limit: u64) -> Result<Arrived, PutError> {
    let mut file = BufWriter::with_capacity(BUFFER, file);
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0_u64);
    let mut stream = body.into_data_stream();
    while let Some(chunk) = timeout(IDLE, stream.next()).await.map_err(|_| PutError::Idle)? {
        let chunk = chunk.map_err(|_| PutError::BrokenOff)?;
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(PutError::TooLong(limit));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    file.get_ref().sync_data().await?;
    Ok(Arrived { etag: format!("\"{}\"", hex::encode(hash.finish())), bytes })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
