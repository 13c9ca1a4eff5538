//! The folder over HTTP, for agents: each address is good for one object, one method and some hours.

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::agent::AgentProblem;
use serde::Deserialize;

use super::{
    super::{ByteRange, ObjectError, ObjectStore as _},
    FolderStore,
    put::PutError,
    signature::Signed,
};

/// Serves signed addresses, and nothing else. There is no listing and no way in without a signature.
pub fn gateway(store: FolderStore) -> Router {
    Router::new()
        .route("/objects/{*key}", get(download).put(upload))
        .layer(DefaultBodyLimit::disable())
        .with_state(store)
}

#[derive(Debug, Deserialize)]
struct Given {
    upload: Option<String>,
    #[serde(default)]
    part: u32,
    expires: i64,
    signature: String,
}

async fn upload(
    State(store): State<FolderStore>,
    Path(key): Path<String>,
    Query(given): Query<Given>,
    body: Body,
) -> Result<Response, Refused> {
    allowed(&store, "PUT", &key, &given)?;
    let etag = match given.upload {
        Some(upload) => store.put_part(key, upload, given.part, body).await?,
        None => store.put_object(key, body).await?,
    };
    Ok((StatusCode::OK, [(header::ETAG, etag)]).into_response())
}

async fn download(
    State(store): State<FolderStore>,
    Path(key): Path<String>,
    Query(given): Query<Given>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    allowed(&store, "GET", &key, &given)?;
    let range = headers.get(header::RANGE).and_then(|range| parse_range(range.to_str().ok()?));
    let body = store.get_stream(&key, range).await?.ok_or(Refused::new(
        StatusCode::NOT_FOUND,
        "no_such_object",
        "there is no such object",
    ))?;
    let mut response = Response::new(Body::from_stream(body.stream));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_LENGTH, body.length.into());
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(etag) = HeaderValue::from_str(&body.info.etag) {
        fields.insert(header::ETAG, etag);
    }
    if range.is_some() {
        let last = (body.first + body.length).saturating_sub(1);
        let content = format!("bytes {}-{last}/{}", body.first, body.info.bytes);
        fields.extend(HeaderValue::from_str(&content).ok().map(|value| (header::CONTENT_RANGE, value)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Expiry first: that a signature was good once is no secret, and an agent has to know which it is.
fn allowed(store: &FolderStore, method: &str, key: &str, given: &Given) -> Result<(), Refused> {
    let upload = given.upload.as_deref().unwrap_or_default();
    let signed = Signed { method, key, upload, part: given.part, expires: given.expires };
    if !store.signatures.holds(&signed, &given.signature) {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "signature_wrong",
            "the address is not signed by us",
        ));
    }
    if store.now() >= given.expires {
        return Err(Refused::new(StatusCode::FORBIDDEN, "address_expired", "the address has expired"));
    }
    Ok(())
}

/// `bytes=FIRST-` and `bytes=FIRST-LAST` (RFC 9110, 14.1.2); anything else is served whole, as the RFC allows.
fn parse_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.trim().parse().ok()?;
    let last = match last.trim() {
        "" => None,
        last => Some(last.parse().ok().filter(|last| *last >= first)?),
    };
    Some(ByteRange { first, last })
}

/// An error answer.
#[derive(Debug)]
struct Refused(StatusCode, AgentProblem);

impl Refused {
    fn new(status: StatusCode, code: &str, detail: &str) -> Self {
        Self(status, AgentProblem { code: code.to_owned(), detail: detail.to_owned() })
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(self.1)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        response
    }
}

impl From<PutError> for Refused {
    fn from(error: PutError) -> Self {
        let (status, code) = match &error {
            PutError::NoUpload => (StatusCode::NOT_FOUND, "no_such_upload"),
            PutError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            PutError::Exists => (StatusCode::CONFLICT, "exists"),
            PutError::TooLong(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_long"),
            PutError::Idle | PutError::BrokenOff => (StatusCode::REQUEST_TIMEOUT, "broken_off"),
            PutError::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                (StatusCode::INSUFFICIENT_STORAGE, "storage_full")
            }
            PutError::Disk(error) => {
                tracing::error!(%error, "an upload could not be written ({error}); its agent tries again");
                (StatusCode::INTERNAL_SERVER_ERROR, "disk_error")
            }
        };
        Self::new(status, code, &error.to_string())
    }
}

impl From<ObjectError> for Refused {
    fn from(error: ObjectError) -> Self {
        let (status, code) = match &error {
            ObjectError::BadKey(_) => (StatusCode::NOT_FOUND, "no_such_object"),
            ObjectError::Range(_) => (StatusCode::RANGE_NOT_SATISFIABLE, "range"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "disk_error"),
        };
        Self::new(status, code, &error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_or_ignored() {
        let range = |first, last| Some(ByteRange { first, last });
        assert_eq!(parse_range("bytes=0-"), range(0, None));
        assert_eq!(parse_range("bytes=5-9"), range(5, Some(9)));
        for other in ["bytes=-5", "bytes=9-5", "bytes=a-", "items=0-1", "bytes=0-1,3-4", "bytes=", ""] {
            assert_eq!(parse_range(other), None, "{other}");
        }
    }
}
