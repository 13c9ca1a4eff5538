//! The customer's files over HTTP. What is done is in [`crate::files`].

pub(super) mod content;
pub(super) mod uploads;

use std::time::Duration;

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use domain::agent::{
    FileChange, FileInfo, FileJob, FileJobSpec, FileList, FilePath, FilesUsage, MAX_STATUS_WAIT_MS,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{App, problem::Problem};
use crate::files::{LONGEST_PAGE, error::FileError};

/// A path, encoded; without one, the customer's folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathQuery {
    #[serde(default)]
    path: String,
}

/// Query of `GET /v1/files/list`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    path: String,
    after: Option<String>,
    limit: Option<usize>,
}

/// Query of `GET` and `DELETE /v1/files/jobs`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobQuery {
    id: Uuid,
    #[serde(default)]
    wait_ms: u64,
}

/// A page of a folder.
pub(super) async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<FileList>, Problem> {
    let Query(query) = query?;
    let after = query.after.as_deref().map(FilePath::parse).transpose().map_err(FileError::from)?;
    let path = FilePath::parse(&query.path).map_err(FileError::from)?;
    Ok(Json(app.files.list(path, after, query.limit.unwrap_or(LONGEST_PAGE)).await?))
}

/// One file or folder.
pub(super) async fn stat(
    State(app): State<App>,
    query: Result<Query<PathQuery>, QueryRejection>,
) -> Result<Json<FileInfo>, Problem> {
    let path = FilePath::parse(&query?.path).map_err(FileError::from)?;
    Ok(Json(app.files.stat(path).await?))
}

/// Disk space in use.
pub(super) async fn usage(State(app): State<App>) -> Result<Json<FilesUsage>, Problem> {
    Ok(Json(app.files.usage().await?))
}

/// Something small.
pub(super) async fn change(
    State(app): State<App>,
    body: Result<Json<FileChange>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(change) = body?;
    app.files.change(change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Something long.
pub(super) async fn start_job(
    State(app): State<App>,
    body: Result<Json<FileJobSpec>, JsonRejection>,
) -> Result<(StatusCode, Json<FileJob>), Problem> {
    let Json(spec) = body?;
    Ok((StatusCode::ACCEPTED, Json(app.files.start_job(spec).await?)))
}

/// Where a job stands; waits for its end when asked to.
pub(super) async fn job(
    State(app): State<App>,
    query: Result<Query<JobQuery>, QueryRejection>,
) -> Result<Json<FileJob>, Problem> {
    let Query(query) = query?;
    let wait = Duration::from_millis(query.wait_ms.min(MAX_STATUS_WAIT_MS));
    Ok(Json(app.files.jobs().get(query.id, wait).await?))
}

/// Asks a job to end; answers before it has.
pub(super) async fn cancel_job(
    State(app): State<App>,
    query: Result<Query<JobQuery>, QueryRejection>,
) -> Result<Json<FileJob>, Problem> {
    Ok(Json(app.files.jobs().cancel(query?.id)?))
}
