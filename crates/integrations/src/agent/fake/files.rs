//! A fake agent's files: a map from paths to contents, without folders.

use std::{collections::BTreeMap, io, sync::Mutex};

use domain::agent::{
    ArchiveFormat, FileChange, FileInfo, FileJob, FileJobSpec, FileJobState, FileKind, FileList, FileUpload,
    FilesUsage,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{self, HeaderValue};
use ring::digest;
use tokio_util::bytes::Bytes;
use uuid::Uuid;

use crate::{
    agent::{AgentError, ByteStream, FileContent, Headers},
    scenario::lock,
};

/// A streamed content's chunks.
const CHUNK: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Files {
    contents: Mutex<BTreeMap<String, Bytes>>,
    jobs: Mutex<BTreeMap<Uuid, FileJob>>,
    uploads: Mutex<BTreeMap<Uuid, (FileUpload, Vec<u8>)>>,
    /// Whether jobs stay under way until a test ends them.
    pub(super) slow_jobs: Mutex<bool>,
    pub(super) refusal: Mutex<Option<(u16, String, String)>>,
}

fn rejected(status: u16, code: &str) -> AgentError {
    AgentError::Rejected { status, code: code.to_owned(), detail: format!("The fake says {code}.") }
}

fn etag(content: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, content).as_ref()).chars().take(16).collect()
}

fn info(path: &str, content: &[u8]) -> FileInfo {
    FileInfo {
        path: path.to_owned(),
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        kind: FileKind::File,
        size: content.len() as u64,
        mode: 0o644,
        modified_ms: 1_800_000_000_000,
        etag: Some(etag(content)),
        target: None,
    }
}

impl Files {
    pub(super) fn write(&self, path: &str, content: Bytes) {
        lock(&self.contents).insert(path.to_owned(), content);
    }

    pub(super) fn read(&self, path: &str) -> Option<Bytes> {
        lock(&self.contents).get(path).cloned()
    }

    fn check(&self) -> Result<(), AgentError> {
        match &*lock(&self.refusal) {
            Some((409, code, detail)) => {
                Err(AgentError::Conflict { code: code.clone(), detail: detail.clone() })
            }
            Some((status, code, detail)) => {
                Err(AgentError::Rejected { status: *status, code: code.clone(), detail: detail.clone() })
            }
            None => Ok(()),
        }
    }

    pub(super) fn list(
        &self,
        path: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<FileList, AgentError> {
        self.check()?;
        let (contents, limit) = (lock(&self.contents), limit.unwrap_or(1_000) as usize);
        let inside = contents.iter().filter(|(name, _)| path.is_empty() || name.starts_with(path));
        let mut wanted = inside.filter(|(name, _)| after.is_none_or(|after| name.as_str() > after));
        let entries: Vec<_> =
            wanted.by_ref().take(limit).map(|(path, content)| info(path, content)).collect();
        let next = wanted.next().and_then(|_| entries.last().map(|last| last.path.clone()));
        Ok(FileList { entries, next })
    }

    pub(super) fn stat(&self, path: &str) -> Result<FileInfo, AgentError> {
        self.check()?;
        let content = self.read(path).ok_or_else(|| rejected(404, "file_not_found"))?;
        Ok(info(path, &content))
    }

    pub(super) fn usage(&self) -> Result<FilesUsage, AgentError> {
        self.check()?;
        let used = lock(&self.contents).values().map(|content| content.len() as u64).sum();
        Ok(FilesUsage { used_bytes: used, limit_bytes: Some(1 << 30) })
    }

    pub(super) fn change(&self, change: &FileChange) -> Result<(), AgentError> {
        self.check()?;
        let mut contents = lock(&self.contents);
        match change {
            FileChange::MakeFolder { .. } | FileChange::SetMode { .. } => {}
            FileChange::Rename { from, to } => {
                let content = contents.remove(from).ok_or_else(|| rejected(404, "file_not_found"))?;
                contents.insert(to.clone(), content);
            }
            FileChange::Delete { paths } => contents.retain(|path, _| !paths.contains(path)),
        }
        Ok(())
    }

    pub(super) fn start(&self, spec: &FileJobSpec) -> Result<FileJob, AgentError> {
        self.check()?;
        let mut found = Vec::new();
        match spec {
            FileJobSpec::Copy { from, to } => {
                let content = self.read(from).ok_or_else(|| rejected(404, "file_not_found"))?;
                self.write(to, content);
            }
            FileJobSpec::Archive { to, format, .. } => {
                let all: [&[u8]; 3] = [b"zip", b"gz", b"zst"];
                let known = [ArchiveFormat::Zip, ArchiveFormat::TarGz, ArchiveFormat::TarZst];
                let at = known.iter().position(|it| it == format).unwrap_or_default();
                self.write(to, Bytes::copy_from_slice(all.get(at).copied().unwrap_or_default()));
            }
            FileJobSpec::Extract { .. } => {}
            FileJobSpec::Fetch { url, to } => self.write(to, url.clone().into()),
            FileJobSpec::Search { name, .. } => {
                let contents = lock(&self.contents);
                found = contents
                    .iter()
                    .filter(|(path, _)| path.contains(name.as_str()))
                    .map(|(p, c)| info(p, c))
                    .collect();
            }
        }
        let state = if *lock(&self.slow_jobs) { FileJobState::Running } else { FileJobState::Succeeded };
        let (id, truncated) = (Uuid::now_v7(), false);
        let job = FileJob {
            id,
            state,
            done_bytes: 0,
            done_entries: 1,
            skipped_entries: 0,
            error: None,
            found,
            truncated,
        };
        lock(&self.jobs).insert(id, job.clone());
        Ok(job)
    }

    pub(super) fn begin_upload(&self, path: &str, size: u64) -> Result<FileUpload, AgentError> {
        self.check()?;
        let id = Uuid::now_v7();
        let upload = FileUpload { id, path: path.to_owned(), size, offset: 0, file: None };
        lock(&self.uploads).insert(id, (upload.clone(), Vec::new()));
        Ok(upload)
    }

    pub(super) fn upload(&self, id: Uuid) -> Result<FileUpload, AgentError> {
        let found = lock(&self.uploads).get(&id).map(|(upload, _)| upload.clone());
        found.ok_or_else(|| rejected(404, "upload_not_found"))
    }

    pub(super) fn cancel_upload(&self, id: Uuid) -> Result<(), AgentError> {
        lock(&self.uploads).remove(&id).map(drop).ok_or_else(|| rejected(404, "upload_not_found"))
    }

    pub(super) async fn write_upload(
        &self,
        id: Uuid,
        offset: u64,
        mut body: ByteStream,
    ) -> Result<FileUpload, AgentError> {
        if self.upload(id)?.offset != offset {
            let detail = "the next part begins elsewhere".into();
            return Err(AgentError::Conflict { code: "upload_offset_mismatch".into(), detail });
        }
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| AgentError::Unreachable(error.to_string()))?;
            let mut uploads = lock(&self.uploads);
            let (upload, content) = uploads.get_mut(&id).ok_or_else(|| rejected(404, "upload_not_found"))?;
            content.extend(&chunk);
            upload.offset += chunk.len() as u64;
        }
        let mut upload = self.upload(id)?;
        if upload.offset == upload.size
            && let Some((_, content)) = lock(&self.uploads).remove(&id)
        {
            upload.file = Some(info(&upload.path, &content));
            self.write(&upload.path, content.into());
        }
        Ok(upload)
    }

    pub(super) fn finish_jobs(&self) {
        let mut jobs = lock(&self.jobs);
        let running = jobs.values_mut().filter(|job| job.state == FileJobState::Running);
        running.for_each(|job| job.state = FileJobState::Succeeded);
    }

    pub(super) fn job(&self, id: Uuid) -> Result<FileJob, AgentError> {
        lock(&self.jobs).get(&id).cloned().ok_or_else(|| rejected(404, "job_not_found"))
    }

    pub(super) fn cancel(&self, id: Uuid) -> Result<FileJob, AgentError> {
        let mut jobs = lock(&self.jobs);
        let job = jobs.get_mut(&id).ok_or_else(|| rejected(404, "job_not_found"))?;
        if job.state == FileJobState::Running {
            job.state = FileJobState::Cancelled;
        }
        Ok(job.clone())
    }

    pub(super) fn get(&self, path: &str, asked: &Headers) -> Result<FileContent, AgentError> {
        self.check()?;
        let content = self.read(path).ok_or_else(|| rejected(404, "file_not_found"))?;
        let tag = format!("\"{}\"", etag(&content));
        let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let mut headers = Headers::new();
        set(&mut headers, header::ETAG, &tag);
        if text(header::IF_NONE_MATCH) == Some(&tag) {
            return Ok(FileContent { status: 304, headers, body: stream::empty().boxed() });
        }
        let (mut status, mut part) = (200, content.clone());
        if let Some(range) = text(header::RANGE).and_then(|text| text.strip_prefix("bytes=")) {
            let (from, to) = range.split_once('-').unwrap_or(("", ""));
            let from: usize = from.parse().map_err(|_| rejected(416, "range_not_satisfiable"))?;
            let to = to.parse().map_or(content.len(), |to: usize| (to + 1).min(content.len()));
            if from >= content.len() || from >= to {
                return Err(rejected(416, "range_not_satisfiable"));
            }
            status = 206;
            part = content.slice(from..to);
            let range = format!("bytes {from}-{}/{}", to - 1, content.len());
            set(&mut headers, header::CONTENT_RANGE, &range);
        }
        set(&mut headers, header::CONTENT_LENGTH, &part.len().to_string());
        let chunks = (0..part.len()).step_by(CHUNK).map(move |at| part.slice(at..part.len().min(at + CHUNK)));
        let chunks: Vec<io::Result<Bytes>> = chunks.map(Ok).collect();
        Ok(FileContent { status, headers, body: stream::iter(chunks).boxed() })
    }

    /// As the agent: nothing is there unless all of it has come.
    pub(super) async fn put(
        &self,
        path: &str,
        asked: &Headers,
        body: ByteStream,
    ) -> Result<FileInfo, AgentError> {
        self.check()?;
        let now = self.read(path).map(|content| format!("\"{}\"", etag(&content)));
        let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let differs = text(header::IF_MATCH).is_some_and(|tag| now.as_deref() != Some(tag));
        if differs || (text(header::IF_NONE_MATCH) == Some("*") && now.is_some()) {
            return Err(rejected(412, "precondition_failed"));
        }
        let whole = body.try_fold(Vec::new(), async |mut whole, chunk| {
            whole.extend_from_slice(&chunk);
            Ok(whole)
        });
        let whole = whole.await.map_err(|error| AgentError::Unreachable(error.to_string()))?;
        let info = info(path, &whole);
        self.write(path, whole.into());
        Ok(info)
    }
}

fn set(headers: &mut Headers, name: header::HeaderName, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("")));
}
