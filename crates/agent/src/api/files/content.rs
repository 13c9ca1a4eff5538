//! A file's content, in and out. However long it is, a few hundred KiB of it are held at once: one piece is on its way
//! while the next is read or written on another thread.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    body::{Body, BodyDataStream},
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::DateTime;
use domain::agent::{FileInfo, FilePath};
use serde::Deserialize;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::bytes::Bytes;

use super::{
    super::{App, problem::Problem},
    PathQuery,
};
use crate::files::{
    Conditions, Content, Files, Upload,
    error::{FileError, Result, Why},
};

/// Bytes read or written at once.
const PIECE: usize = 256 * 1024;
/// After so many bytes of an upload what has come is brought to the disk; at most twice as many are not there yet.
const SYNC_EVERY: usize = 256 << 20;
/// How long a refused upload may go on.
const LINGER: Duration = Duration::from_secs(30);

/// Query of `PUT /v1/files/content`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PutQuery {
    path: String,
    /// Makes the folders above the file.
    #[serde(default)]
    parents: bool,
}

/// A file, or a part of it.
pub(in crate::api) async fn get(
    State(app): State<App>,
    query: std::result::Result<Query<PathQuery>, QueryRejection>,
    headers: HeaderMap,
) -> std::result::Result<Response, Problem> {
    let path = FilePath::parse(&query?.path).map_err(FileError::from)?;
    let Content { mut file, info } = app.files.content(path).await?;
    let tag = format!("\"{}\"", info.etag.as_deref().unwrap_or_default());
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &info, &tag);
    if text(&headers, &header::IF_NONE_MATCH).is_some_and(|tags| has_tag(tags, &tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let same = text(&headers, &header::IF_RANGE).is_none_or(|wanted| wanted == tag);
    let range =
        text(&headers, &header::RANGE).filter(|_| same).and_then(|range| Part::parse(range, info.size));
    let (from, length) = match range {
        None => (0, info.size),
        Some(Part::None) => return Ok(not_satisfiable(info.size)),
        Some(Part::Some { from, to }) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes {from}-{to}/{}", info.size));
            (from, to - from + 1)
        }
    };
    set(response.headers_mut(), header::CONTENT_LENGTH, &length.to_string());
    file.seek(SeekFrom::Start(from)).map_err(FileError::from)?;
    *response.body_mut() = stream(app.files, file, length);
    Ok(response)
}

/// Writes a file: all of it, or nothing.
pub(in crate::api) async fn put(
    State(app): State<App>,
    query: std::result::Result<Query<PutQuery>, QueryRejection>,
    request: Request,
) -> std::result::Result<Response, Problem> {
    let Query(query) = query?;
    let path = FilePath::parse(&query.path).map_err(FileError::from)?;
    let headers = request.headers();
    let length = text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let conditions = conditions(headers)?;
    let mut whole = Whole(request.into_body().into_data_stream());
    let received = async {
        let upload = app.files.upload(path, length, query.parents, conditions).await?;
        let (upload, came) = receive(&app.files, Box::new(upload), &mut whole).await?;
        came.map(|()| upload)
    };
    let upload = match received.await {
        Ok(upload) => upload,
        Err(error) => {
            tokio::spawn(linger(whole.0));
            return Err(error.into());
        }
    };
    let (info, new) = app.files.blocking(move |_| upload.finish()).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let tag = format!("\"{}\"", info.etag.as_deref().unwrap_or_default());
    let mut response = (status, Json(info)).into_response();
    set(response.headers_mut(), header::ETAG, &tag);
    Ok(response)
}

pub(super) fn conditions(headers: &HeaderMap) -> std::result::Result<Conditions, Problem> {
    let absent = match text(headers, &header::IF_NONE_MATCH) {
        None => false,
        Some("*") => true,
        Some(_) => {
            return Err(
                FileError::from(Why::Invalid("If-None-Match: only * is known here".to_owned())).into()
            );
        }
    };
    let matches = text(headers, &header::IF_MATCH).map(|tags| {
        if tags.trim() == "*" {
            Vec::new()
        } else {
            tags.split(',').map(|tag| tag.trim().trim_matches('"').to_owned()).collect()
        }
    });
    Ok(Conditions { matches, absent })
}

/// What comes of a file, piece by piece.
pub(super) trait Pieces {
    /// The next piece; nothing at the end.
    async fn next(&mut self) -> Option<Result<Bytes>>;
}

/// All of a body.
struct Whole(BodyDataStream);

impl Pieces for Whole {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        Some(self.0.next().await?.map_err(|error| broken(&error)))
    }
}

/// Writes one batch while the next one comes, and brings what was written to the disk meanwhile: were it left to the end,
/// a disk that is slow would be at it for longer than anybody waits for an answer. Gives the upload back with all that has
/// come, and why no more did; fails when it could not be written.
pub(super) async fn receive(
    files: &Files,
    upload: Box<Upload>,
    pieces: &mut impl Pieces,
) -> Result<(Box<Upload>, Result<()>)> {
    let mut state = Writing::Idle(upload);
    let (mut batch, mut size, mut unsynced, mut sync) = (Vec::new(), 0, 0, None);
    let mut came = Ok(());
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => {
                size += piece.len();
                batch.push(piece);
            }
            Err(error) => {
                came = Err(error);
                break;
            }
        }
        if size >= PIECE {
            let upload = state.end().await?;
            unsynced += size;
            if unsynced >= SYNC_EVERY {
                if let Some(sync) = sync.take() {
                    ended(sync).await?;
                }
                let sync_data = upload.syncing()?;
                sync = Some(spawn(files, move |_| sync_data()));
                unsynced = 0;
            }
            state = Writing::begin(files, upload, std::mem::take(&mut batch));
            size = 0;
        }
    }
    let upload = Writing::begin(files, state.end().await?, batch).end().await?;
    if let Some(sync) = sync {
        ended(sync).await?;
    }
    Ok((upload, came))
}

/// Runs `work` where blocking is allowed, whether or not anybody waits for it.
fn spawn<T: Send + 'static>(
    files: &Files,
    work: impl FnOnce(&Files) -> Result<T> + Send + 'static,
) -> JoinHandle<Result<T>> {
    let files = files.clone();
    tokio::spawn(async move { files.blocking(work).await })
}

async fn ended<T>(work: JoinHandle<Result<T>>) -> Result<T> {
    work.await.unwrap_or_else(|error| Err(Why::Io(io::Error::other(error)).into()))
}

/// Takes the rest of a refused upload and throws it away: a caller who still sends when the connection is closed would
/// not see why (RFC 9112, 9.6).
pub(super) async fn linger(mut frames: BodyDataStream) {
    let rest = async { while let Some(Ok(_)) = frames.next().await {} };
    // Whoever sends for longer than this learns that the connection is gone, and no more.
    let _ = timeout(LINGER, rest).await;
}

/// An upload between batches, or with one being written. Should the request be dropped, the thread that writes has the
/// upload, and drops it when it is done.
enum Writing {
    Idle(Box<Upload>),
    Busy(JoinHandle<Result<Box<Upload>>>),
}

impl Writing {
    fn begin(files: &Files, mut upload: Box<Upload>, batch: Vec<Bytes>) -> Self {
        Self::Busy(spawn(files, move |_| {
            upload.write(&batch)?;
            Ok(upload)
        }))
    }

    async fn end(self) -> Result<Box<Upload>> {
        match self {
            Self::Idle(upload) => Ok(upload),
            Self::Busy(task) => ended(task).await,
        }
    }
}

/// The body ended before its end.
pub(super) fn broken(error: &axum::Error) -> FileError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Why::StoodStill.into();
        }
        cause = inner.source();
    }
    Why::Interrupted.into()
}

/// `length` bytes of a file. When it turns out to be shorter the answer breaks off, as its length is promised.
fn stream(files: Files, file: std::fs::File, length: u64) -> Body {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        let (file, mut left) = (Arc::new(file), length);
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let file = Arc::clone(&file);
            let read = files.blocking(move |_| {
                let mut piece = vec![0; size];
                (&*file).read_exact(&mut piece)?;
                Ok(Bytes::from(piece))
            });
            let piece = read.await.map_err(io::Error::from);
            left -= size as u64;
            // Whoever reads may have gone, and after an error there is nothing more to say.
            let failed = piece.is_err();
            if send.send(piece).await.is_err() || failed {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receive))
}

fn describe(headers: &mut HeaderMap, info: &FileInfo, tag: &str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set(headers, header::ETAG, tag);
    if let Some(time) = DateTime::from_timestamp_millis(info.modified_ms) {
        set(headers, header::LAST_MODIFIED, &time.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    }
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn has_tag(tags: &str, tag: &str) -> bool {
    tags.split(',').any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag)
}

fn not_satisfiable(size: u64) -> Response {
    let mut response = Problem::from(FileError::from(Why::RangeNotSatisfiable(size))).into_response();
    set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// From byte to byte, both included.
    Some { from: u64, to: u64 },
    /// Nothing that is there.
    None,
}

impl Part {
    /// None when the header is to be ignored: malformed, several ranges, another unit (RFC 9110, 14.2).
    fn parse(range: &str, size: u64) -> Option<Self> {
        let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return None;
        }
        let (from, to) = match (first.parse::<u64>().ok(), last.parse::<u64>().ok()) {
            (Some(from), Some(to)) if from <= to => (from, to),
            (Some(from), None) if last.is_empty() => (from, u64::MAX),
            (None, Some(0)) if first.is_empty() => return Some(Self::None),
            (None, Some(count)) if first.is_empty() => (size.saturating_sub(count), u64::MAX),
            _ => return None,
        };
        Some(if from < size { Self::Some { from, to: to.min(size - 1) } } else { Self::None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let some = |from, to| Some(Part::Some { from, to });
        for (range, size, expected) in [
            ("bytes=0-0", 10, some(0, 0)),
            ("bytes=0-", 10, some(0, 9)),
            ("bytes=5-100", 10, some(5, 9)),
            ("bytes=-3", 10, some(7, 9)),
            ("bytes=-30", 10, some(0, 9)),
            ("bytes=9-9", 10, some(9, 9)),
            ("bytes=10-", 10, Some(Part::None)),
            ("bytes=-0", 10, Some(Part::None)),
            ("bytes=0-", 0, Some(Part::None)),
            ("bytes=5-4", 10, None),
            ("bytes=0-1,3-4", 10, None),
            ("bytes=-", 10, None),
            ("bytes=a-b", 10, None),
            ("bytes=+1-2", 10, None),
            ("lines=0-1", 10, None),
            ("bytes=99999999999999999999-", 10, None),
        ] {
            assert_eq!(Part::parse(range, size), expected, "{range} of {size}");
        }
    }
}
