//! `GET /api/instances/{id}/backups/{backup}/download`: the archive as a stream, never held whole.

use std::{io, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::backup::{Backup, BackupRefusal};
use futures_util::StreamExt as _;
use integrations::objects::{ByteRange, ObjectError, ObjectStore};

use super::range::{Wanted, wanted};
use crate::{
    auth::{ManageBackups, Owned},
    http::{Transfers, outgoing},
    problem::{Code, Problem},
};

/// A backup's archive (`tar` compressed with `zstd`), or a part of it (`Range`). Always as a download.
#[utoipa::path(
    get, path = "/instances/{id}/backups/{backup}/download", tag = "backups", operation_id = "downloadBackup",
    params(("id" = Uuid, Path), ("backup" = Uuid, Path)),
    responses(
        (status = 200, content_type = "application/zstd", body = Vec<u8>, headers(("etag" = String))),
        (status = 206, content_type = "application/zstd", body = Vec<u8>, headers(("content-range" = String)))
    ),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn download(
    State(transfers): State<Transfers>,
    State(objects): State<Arc<dyn ObjectStore>>,
    Owned { it, caller }: Owned<Backup, ManageBackups>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let available = it.state == domain::backup::BackupState::Available;
    let facts = it.facts.as_ref().filter(|_| available).ok_or(BackupRefusal::NotAvailable(it.state))?;
    let (length, etag) = (facts.archive_bytes, format!("\"{}\"", facts.archive_sha256));
    let part = match wanted(&headers, length, &etag) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        Wanted::None => return Ok(no_such_range(length)),
    };
    let transfer = transfers.begin(caller.customer.id)?;
    let object = objects.get_stream(&it.archive_key(), part).await.map_err(|error| refused(&error))?;
    let object =
        object.ok_or_else(|| refused(&ObjectError::Invalid("the archive is not there".to_owned())))?;
    let bytes = object.stream.map(|chunk| chunk.map_err(io::Error::other));
    let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = (status, outgoing(bytes, transfer)).into_response();
    describe(response.headers_mut(), &it, &etag, object.length, part.map(|part| (part, length)));
    Ok(response)
}

fn describe(headers: &mut HeaderMap, backup: &Backup, etag: &str, sent: u64, part: Option<(ByteRange, u64)>) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::CONTENT_LENGTH, sent.into());
    let range = part.map(|(part, length)| {
        let last = part.first + sent.saturating_sub(1);
        format!("bytes {}-{last}/{length}", part.first)
    });
    let name = format!("attachment; filename=\"backup-{}.tar.zst\"", backup.id);
    let texts = [
        (header::ETAG, Some(etag.to_owned())),
        (header::CONTENT_DISPOSITION, Some(name)),
        (header::CONTENT_RANGE, range),
    ];
    for (header, text) in texts {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(header, value);
        }
    }
}

fn no_such_range(length: u64) -> Response {
    let detail = format!("The archive has {length} bytes.");
    let problem = Problem::new(Code::RangeNotSatisfiable, detail);
    ([(header::CONTENT_RANGE, format!("bytes */{length}"))], problem).into_response()
}

fn refused(error: &ObjectError) -> Problem {
    tracing::error!(%error, "a backup could not be read from the storage, and its download was refused: {error}");
    let detail = "The backup storage does not give the archive at present. Nothing is lost; try again later.";
    Problem::new(Code::StorageUnavailable, detail).retry_after(10)
}
