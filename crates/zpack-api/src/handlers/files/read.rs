//! `GET …/files`, `…/files/stat`, `…/files/usage`.

use axum::{Json, extract::State};
use domain::instance::Instance;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    agent::{self, Agents},
    auth::{Owned, ReadFiles},
    extract::ValidQuery,
    files::{FilesError, reader},
    problem::Problem,
    view::{FileView, FilesUsageView, FolderView},
};

/// Which folder, and which part of it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// The folder; the data folder itself without it.
    #[serde(default)]
    path: String,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
    /// Most entries, 1 to 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Which file or folder.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its path, relative to the data folder; percent-encoded where a byte is not printable ASCII or is `%`.
    #[serde(default)]
    pub path: String,
}

/// What is in a folder, sorted by name.
#[utoipa::path(
    get, path = "/instances/{id}/files", tag = "files", operation_id = "listFiles",
    params(("id" = Uuid, Path), Listing),
    responses((status = 200, body = FolderView)),
    security(("session" = []), ("api_key" = ["files:read"]))
)]
pub async fn list(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<Instance, ReadFiles>,
    ValidQuery(wanted): ValidQuery<Listing>,
) -> Result<Json<FolderView>, Problem> {
    let session = reader(&agents, &it).await?;
    let list = session.file_list(&wanted.path, wanted.cursor.as_deref(), wanted.limit);
    Ok(Json(agent::call(list).await.map_err(FilesError::Agent)?.into()))
}

/// One file or folder.
#[utoipa::path(
    get, path = "/instances/{id}/files/stat", tag = "files", operation_id = "getFile",
    params(("id" = Uuid, Path), Target),
    responses((status = 200, body = FileView)),
    security(("session" = []), ("api_key" = ["files:read"]))
)]
pub async fn stat(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<Instance, ReadFiles>,
    ValidQuery(target): ValidQuery<Target>,
) -> Result<Json<FileView>, Problem> {
    let session = reader(&agents, &it).await?;
    let info = agent::call(session.file_stat(&target.path)).await;
    Ok(Json(info.map_err(FilesError::Agent)?.into()))
}

/// How full the data folder is.
#[utoipa::path(
    get, path = "/instances/{id}/files/usage", tag = "files", operation_id = "getFilesUsage",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = FilesUsageView)),
    security(("session" = []), ("api_key" = ["files:read"]))
)]
pub async fn usage(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<Instance, ReadFiles>,
) -> Result<Json<FilesUsageView>, Problem> {
    let session = reader(&agents, &it).await?;
    Ok(Json(agent::call(session.files_usage()).await.map_err(FilesError::Agent)?.into()))
}
