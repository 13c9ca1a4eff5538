//! Uploads in parts: begun, sent part by part, asked about, given up.

use axum::{
    Json,
    body::BodyDataStream,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
};
use domain::agent::{FilePath, FileUpload};
use serde::Deserialize;
use tokio_stream::StreamExt as _;
use tokio_util::{bytes::Bytes, sync::CancellationToken};
use uuid::Uuid;

use super::{
    super::{App, problem::Problem},
    content::{Pieces, broken, conditions, linger, receive},
};
use crate::files::error::{FileError, Result, Why};

/// Query of `POST /v1/files/uploads`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct BeginQuery {
    path: String,
    size: u64,
    /// Makes the folders above the file.
    #[serde(default)]
    parents: bool,
}

/// Query of `GET` and `DELETE /v1/files/uploads`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct UploadQuery {
    id: Uuid,
}

/// Query of `PATCH /v1/files/uploads`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PartQuery {
    id: Uuid,
    offset: u64,
}

/// Begins one. `If-Match` and `If-None-Match` are as for a whole file, and looked at again at its end.
pub(in crate::api) async fn begin(
    State(app): State<App>,
    query: std::result::Result<Query<BeginQuery>, QueryRejection>,
    headers: HeaderMap,
) -> std::result::Result<(StatusCode, Json<FileUpload>), Problem> {
    let Query(query) = query?;
    let path = FilePath::parse(&query.path).map_err(FileError::from)?;
    let upload = app.files.begin_parts(path, query.size, query.parents, conditions(&headers)?).await?;
    Ok((StatusCode::CREATED, Json(upload)))
}

/// How far one is.
pub(in crate::api) async fn get(
    State(app): State<App>,
    query: std::result::Result<Query<UploadQuery>, QueryRejection>,
) -> std::result::Result<Json<FileUpload>, Problem> {
    Ok(Json(app.files.parts(query?.id)?))
}

/// Gives one up.
pub(in crate::api) async fn cancel(
    State(app): State<App>,
    query: std::result::Result<Query<UploadQuery>, QueryRejection>,
) -> std::result::Result<StatusCode, Problem> {
    app.files.cancel_parts(query?.id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A part's body, up to the end of the file, and until another part takes over.
struct Part {
    frames: BodyDataStream,
    left: u64,
    taken_over: CancellationToken,
}

impl Pieces for Part {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        let frame = tokio::select! {
            () = self.taken_over.cancelled() => return Some(Err(Why::Interrupted.into())),
            frame = self.frames.next() => frame?,
        };
        Some(frame.map_err(|error| broken(&error)).and_then(|frame| {
            let left = self.left.checked_sub(frame.len() as u64);
            self.left = left.ok_or_else(|| Why::Invalid("more came than the file was to have".to_owned()))?;
            Ok(frame)
        }))
    }
}

/// Takes a part, and takes over from whoever sends one. What has come stays when it breaks off; the last part gives the file
/// its name.
pub(in crate::api) async fn write(
    State(app): State<App>,
    query: std::result::Result<Query<PartQuery>, QueryRejection>,
    request: Request,
) -> std::result::Result<Json<FileUpload>, Problem> {
    let Query(PartQuery { id, offset }) = query?;
    let sender = app.files.send_part(id)?;
    let frames = request.into_body().into_data_stream();
    // In a task of its own: when the connection breaks this one is dropped, and the upload would go with it.
    let written = tokio::spawn(async move {
        let mut part = Part { frames, left: sender.left(offset), taken_over: sender.taken_over.clone() };
        let outcome =
            app.files.write_part(&sender, offset, |upload| receive(&app.files, upload, &mut part)).await;
        if outcome.is_err() {
            tokio::spawn(linger(part.frames));
        }
        outcome
    });
    let written = written.await.map_err(|error| FileError::from(Why::Io(std::io::Error::other(error))))?;
    Ok(Json(written?))
}
