//! `…/files/uploads`: a file sent in parts, over a connection that may break.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use domain::instance::Instance;
use futures_util::StreamExt as _;
use garde::Validate;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    AtAgent,
    content::{SENT, not_written, only},
};
use crate::{
    agent::{self, Agents},
    auth::{Owned, WriteFiles},
    extract::{ValidJson, ValidQuery},
    files::{FilesError, reader, writer},
    http::{Transfers, incoming},
    problem::Problem,
    view::FileUploadView,
};

/// A file to be sent.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUpload {
    /// Where it goes, relative to the data folder; percent-encoded where a byte is not printable ASCII or is `%`.
    #[garde(length(bytes, min = 1))]
    path: String,
    /// How long it is, in bytes. The room is kept for it.
    #[garde(skip)]
    size_bytes: u64,
    /// Whether the folders above it are made.
    #[serde(default)]
    #[garde(skip)]
    parents: bool,
}

/// Begins an upload in parts. `If-Match` and `If-None-Match: *` are as for a whole file, and looked at again when all has
/// come. Given up after an hour in which nothing comes.
#[utoipa::path(
    post, path = "/instances/{id}/files/uploads", tag = "files", operation_id = "createFileUpload",
    params(("id" = Uuid, Path)),
    request_body = NewUpload,
    responses((status = 201, body = FileUploadView, headers(("location" = String, description = "The upload")))),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn begin(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<Instance, WriteFiles>,
    headers: HeaderMap,
    ValidJson(body): ValidJson<NewUpload>,
) -> Result<(StatusCode, [(header::HeaderName, String); 1], Json<FileUploadView>), Problem> {
    let session = writer(&agents, &it).await?;
    let mut conditions = only(&headers, &SENT);
    conditions.remove(header::CONTENT_LENGTH);
    let begun = session.file_upload_begin(&body.path, body.size_bytes, body.parents, conditions);
    let upload = agent::call(begun).await.map_err(FilesError::Agent)?;
    let location = [(header::LOCATION, format!("/api/instances/{}/files/uploads/{}", it.id, upload.id))];
    Ok((StatusCode::CREATED, location, Json(upload.into())))
}

/// How far an upload is: the next part begins at `offset_bytes`.
#[utoipa::path(
    get, path = "/instances/{id}/files/uploads/{upload}", tag = "files", operation_id = "getFileUpload",
    params(("id" = Uuid, Path), ("upload" = Uuid, Path)),
    responses((status = 200, body = FileUploadView)),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn get(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<AtAgent, WriteFiles>,
) -> Result<Json<FileUploadView>, Problem> {
    let session = reader(&agents, &it.instance).await?;
    Ok(Json(agent::call(session.file_upload(it.id)).await.map_err(FilesError::Agent)?.into()))
}

/// Where a part begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// `offset_bytes` of the upload as it is now.
    offset: u64,
}

/// Sends a part, and takes over from whoever sends one. What has come stays when it breaks off. With the last part the file
/// has its name; `file` tells of it.
#[utoipa::path(
    patch, path = "/instances/{id}/files/uploads/{upload}", tag = "files", operation_id = "sendFileUploadPart",
    params(("id" = Uuid, Path), ("upload" = Uuid, Path), Part),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = FileUploadView)),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn send(
    State(agents): State<Agents>,
    State(transfers): State<Transfers>,
    Owned { it, caller }: Owned<AtAgent, WriteFiles>,
    ValidQuery(Part { offset }): ValidQuery<Part>,
    body: Body,
) -> Result<Json<FileUploadView>, Problem> {
    let session = writer(&agents, &it.instance).await?;
    let _transfer = transfers.begin(caller.customer.id)?;
    let (bytes, rest) = incoming(body);
    match session.file_upload_write(it.id, offset, bytes.boxed()).await {
        Ok(upload) => Ok(Json(upload.into())),
        Err(error) => Err(not_written(error, rest).await),
    }
}

/// Gives an upload up; nothing of it stays.
#[utoipa::path(
    delete, path = "/instances/{id}/files/uploads/{upload}", tag = "files", operation_id = "cancelFileUpload",
    params(("id" = Uuid, Path), ("upload" = Uuid, Path)),
    responses((status = 204)),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn cancel(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<AtAgent, WriteFiles>,
) -> Result<StatusCode, Problem> {
    // Ending something is always possible, as stopping a server is.
    let session = reader(&agents, &it.instance).await?;
    agent::call(session.file_upload_cancel(it.id)).await.map_err(FilesError::Agent)?;
    Ok(StatusCode::NO_CONTENT)
}
