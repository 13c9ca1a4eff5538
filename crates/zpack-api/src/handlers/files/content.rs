//! `GET` and `PUT …/files/content`: streams, from the client to the agent and back, never held whole.

use std::fmt::Write as _;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::instance::Instance;
use futures_util::StreamExt as _;
use integrations::agent::{AgentError, FileContent};
use serde::Deserialize;
use utoipa::IntoParams;

use super::read::Target;
use crate::{
    agent::Agents,
    auth::{Owned, ReadFiles, WriteFiles},
    extract::ValidQuery,
    files::{FilesError, reader, writer},
    http::{Cut, Incoming, Transfers, incoming, outgoing},
    problem::{Code, Problem},
    view::FileView,
};

/// What the agent is to know of a download.
const ASKED: [HeaderName; 5] =
    [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MATCH, header::IF_MODIFIED_SINCE];
/// What the client is to know of it.
const TOLD: [HeaderName; 5] = [
    header::ETAG,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::LAST_MODIFIED,
];
/// What the agent is to know of an upload.
pub(super) const SENT: [HeaderName; 3] = [header::IF_MATCH, header::IF_NONE_MATCH, header::CONTENT_LENGTH];

/// A customer's file is never a page of this site, whatever is in it.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

pub(super) fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let pairs = names.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    pairs.collect()
}

/// A file's content, or a part of it (`Range`). Always as a download.
#[utoipa::path(
    get, path = "/instances/{id}/files/content", tag = "files", operation_id = "downloadFile",
    params(("id" = Uuid, Path), Target),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>, headers(("etag" = String))),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>, headers(("content-range" = String))),
        (status = 304)
    ),
    security(("session" = []), ("api_key" = ["files:read"]))
)]
pub async fn get(
    State(agents): State<Agents>,
    State(transfers): State<Transfers>,
    Owned { it, caller }: Owned<Instance, ReadFiles>,
    ValidQuery(target): ValidQuery<Target>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let session = reader(&agents, &it).await?;
    let transfer = transfers.begin(caller.customer.id)?;
    let content = session.file_get(&target.path, only(&headers, &ASKED)).await;
    let FileContent { status, headers, body } = content.map_err(FilesError::Agent)?;
    let status = StatusCode::from_u16(status).map_err(|error| Problem::internal(&error))?;
    let mut response = (status, outgoing(body, transfer)).into_response();
    let told = response.headers_mut();
    told.extend(only(&headers, &TOLD));
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    told.insert(header::CONTENT_DISPOSITION, disposition(&target.path));
    told.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    // A client may keep it, and asks each time whether it has changed.
    told.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// As an attachment with the file's own name (RFC 6266, RFC 8187). The path is percent-encoded but for printable
/// ASCII; what `filename*` does not allow of that is encoded here.
fn disposition(path: &str) -> HeaderValue {
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Where a file goes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Its path, relative to the data folder; percent-encoded where a byte is not printable ASCII or is `%`.
    path: String,
    /// Whether the folders above it are made.
    #[serde(default)]
    parents: bool,
}

/// Makes or replaces a file: all of it, or nothing. `If-Match` replaces only what was read, `If-None-Match: *` replaces
/// nothing. Of any length that the plan has room for.
#[utoipa::path(
    put, path = "/instances/{id}/files/content", tag = "files", operation_id = "uploadFile",
    params(("id" = Uuid, Path), Upload),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = FileView, headers(("etag" = String)))),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn put(
    State(agents): State<Agents>,
    State(transfers): State<Transfers>,
    Owned { it, caller }: Owned<Instance, WriteFiles>,
    ValidQuery(upload): ValidQuery<Upload>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let session = writer(&agents, &it).await?;
    let _transfer = transfers.begin(caller.customer.id)?;
    let (bytes, rest) = incoming(body);
    let written = session.file_put(&upload.path, upload.parents, only(&headers, &SENT), bytes.boxed()).await;
    let info = match written {
        Ok(info) => info,
        Err(error) => return Err(not_written(error, rest).await),
    };
    let tag = info.etag.as_deref().and_then(|tag| HeaderValue::from_str(&format!("\"{tag}\"")).ok());
    let etag = tag.map(|tag| [(header::ETAG, tag)]);
    Ok((etag, Json(FileView::from(info))))
}

pub(super) async fn not_written(error: AgentError, rest: Incoming) -> Problem {
    match rest.cut() {
        Some(Cut::Idle) => {
            let detail = "Nothing came for 30 seconds. The file is as it was before; send it again.";
            Problem::new(Code::BodyTimeout, detail)
        }
        Some(Cut::Broken) => {
            Problem::new(Code::BadRequest, "The body broke off. The file is as it was before; send it again.")
        }
        None => {
            rest.drain().await;
            FilesError::Agent(error).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_offered_under_its_name_and_no_name_breaks_out_of_the_header() {
        let of = |path: &str| disposition(path).to_str().unwrap().to_owned();
        assert_eq!(of("world/level.dat"), "attachment; filename=\"level.dat\"; filename*=UTF-8''level.dat");
        assert_eq!(
            of("W%C3%A4lt \"x\"; y.txt"),
            "attachment; filename=\"W_C3_A4lt__x___y.txt\"; filename*=UTF-8''W%C3%A4lt%20%22x%22%3B%20y.txt"
        );
    }
}
