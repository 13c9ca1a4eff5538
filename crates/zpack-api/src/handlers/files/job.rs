//! `…/files/jobs`: what may take minutes.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    agent::{ArchiveFormat, FileJobSpec, FileJobState},
    instance::Instance,
};
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use super::AtAgent;
use crate::{
    agent::{self, Agents},
    auth::{Owned, ReadFiles, WriteFiles},
    extract::ValidJson,
    files::{FilesError, reader, soon, writer},
    problem::Problem,
    view::FileJobView,
};

/// What is to be done.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Job {
    /// Copies a file, or a folder with all that is in it; replaces nothing.
    Copy {
        /// What.
        #[garde(length(bytes, min = 1))]
        from: String,
        /// The copy's path.
        #[garde(length(bytes, min = 1))]
        to: String,
    },
    /// Packs files and folders.
    Archive {
        /// 1 to 1,000 paths.
        #[garde(length(min = 1, max = 1_000), inner(length(bytes, min = 1)))]
        paths: Vec<String>,
        /// The archive's path; there must be nothing.
        #[garde(length(bytes, min = 1))]
        to: String,
        /// `zip`, `tar_gz` or `tar_zst`.
        #[garde(skip)]
        #[schema(value_type = String)]
        format: ArchiveFormat,
    },
    /// Unpacks an archive of one of these formats.
    Extract {
        /// The archive.
        #[garde(length(bytes, min = 1))]
        path: String,
        /// The folder that receives the content.
        #[garde(skip)]
        #[serde(default)]
        to: String,
        /// Whether files that exist are replaced; otherwise one that exists ends the job before anything is written.
        #[garde(skip)]
        #[serde(default)]
        replace: bool,
    },
    /// Fetches a file from a public https address; replaces nothing. No private address is reached, whatever it redirects to.
    Fetch {
        /// Its address: https, without a user name or a password.
        #[garde(length(bytes, min = 1, max = 2_048))]
        url: String,
        /// The file's path; the folders above it are made.
        #[garde(length(bytes, min = 1))]
        to: String,
    },
    /// Finds names that contain a text, ignoring case.
    Search {
        /// The folder to begin in.
        #[garde(skip)]
        #[serde(default)]
        path: String,
        /// The text.
        #[garde(length(chars, min = 1, max = 255))]
        name: String,
    },
}

impl From<Job> for FileJobSpec {
    fn from(it: Job) -> Self {
        match it {
            Job::Copy { from, to } => Self::Copy { from, to },
            Job::Archive { paths, to, format } => Self::Archive { paths, to, format },
            Job::Extract { path, to, replace } => Self::Extract { path, to, replace },
            Job::Fetch { url, to } => Self::Fetch { url, to },
            Job::Search { path, name } => Self::Search { path, name },
        }
    }
}

/// Copies, packs, unpacks, fetches or searches. Waits some seconds for the end: 200 is a job that has ended, 202 one that goes on.
#[utoipa::path(
    post, path = "/instances/{id}/files/jobs", tag = "files", operation_id = "createFileJob",
    params(("id" = Uuid, Path)),
    request_body = Job,
    responses(
        (status = 200, body = FileJobView),
        (status = 202, body = FileJobView, headers(("location" = String, description = "The job")))
    ),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn start(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<Instance, WriteFiles>,
    ValidJson(body): ValidJson<Job>,
) -> Result<Response, Problem> {
    // A search changes nothing, whoever may start it.
    let session = match &body {
        Job::Search { .. } => reader(&agents, &it).await?,
        _ => writer(&agents, &it).await?,
    };
    let job = agent::call(session.file_job_start(&body.into())).await.map_err(FilesError::Agent)?;
    let job = soon(&*session, job).await.map_err(FilesError::Agent)?;
    let location = [(header::LOCATION, format!("/api/instances/{}/files/jobs/{}", it.id, job.id))];
    let ended = job.state != FileJobState::Running;
    let view = Json(FileJobView::from(job));
    Ok(if ended { view.into_response() } else { (StatusCode::ACCEPTED, location, view).into_response() })
}

/// Where a job stands.
#[utoipa::path(
    get, path = "/instances/{id}/files/jobs/{job}", tag = "files", operation_id = "getFileJob",
    params(("id" = Uuid, Path), ("job" = Uuid, Path)),
    responses((status = 200, body = FileJobView)),
    security(("session" = []), ("api_key" = ["files:read"]))
)]
pub async fn get(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<AtAgent, ReadFiles>,
) -> Result<Json<FileJobView>, Problem> {
    let session = reader(&agents, &it.instance).await?;
    Ok(Json(agent::call(session.file_job(it.id, Duration::ZERO)).await.map_err(FilesError::Agent)?.into()))
}

/// Ends a job; what it has written is removed.
#[utoipa::path(
    delete, path = "/instances/{id}/files/jobs/{job}", tag = "files", operation_id = "cancelFileJob",
    params(("id" = Uuid, Path), ("job" = Uuid, Path)),
    responses((status = 200, body = FileJobView)),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn cancel(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<AtAgent, WriteFiles>,
) -> Result<Json<FileJobView>, Problem> {
    // Ending something is always possible, as stopping a server is.
    let session = reader(&agents, &it.instance).await?;
    Ok(Json(agent::call(session.file_job_cancel(it.id)).await.map_err(FilesError::Agent)?.into()))
}
