//! `POST …/files/changes`.

use axum::{extract::State, http::StatusCode};
use domain::{agent::FileChange, instance::Instance};
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    agent::Agents,
    auth::{Owned, WriteFiles},
    extract::ValidJson,
    files::{FilesError, writer},
    problem::Problem,
};

/// Something small that is done at once.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Makes a folder and those above it.
    MakeFolder {
        /// Its path.
        #[garde(length(bytes, min = 1))]
        path: String,
    },
    /// Renames or moves; replaces nothing.
    Rename {
        /// What.
        #[garde(length(bytes, min = 1))]
        from: String,
        /// Its new path.
        #[garde(length(bytes, min = 1))]
        to: String,
    },
    /// Deletes files, and folders with all that is in them. Links are deleted, not followed.
    Delete {
        /// 1 to 1,000 paths.
        #[garde(length(min = 1, max = 1_000), inner(length(bytes, min = 1)))]
        paths: Vec<String>,
    },
    /// Sets permission bits.
    SetMode {
        /// Of what.
        #[garde(length(bytes, min = 1))]
        path: String,
        /// 0 to 511 (0o777).
        #[garde(range(max = 0o777))]
        mode: u32,
    },
}

impl From<Change> for FileChange {
    fn from(it: Change) -> Self {
        match it {
            Change::MakeFolder { path } => Self::MakeFolder { path },
            Change::Rename { from, to } => Self::Rename { from, to },
            Change::Delete { paths } => Self::Delete { paths },
            Change::SetMode { path, mode } => Self::SetMode { path, mode },
        }
    }
}

/// Makes folders, renames, deletes, sets permissions.
#[utoipa::path(
    post, path = "/instances/{id}/files/changes", tag = "files", operation_id = "updateFiles",
    params(("id" = Uuid, Path)),
    request_body = Change,
    responses((status = 204)),
    security(("session" = []), ("api_key" = ["files:write"]))
)]
pub async fn change(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<Instance, WriteFiles>,
    ValidJson(body): ValidJson<Change>,
) -> Result<StatusCode, Problem> {
    let session = writer(&agents, &it).await?;
    // The session's own deadline: deleting a large folder takes a while.
    session.file_change(&body.into()).await.map_err(FilesError::Agent)?;
    Ok(StatusCode::NO_CONTENT)
}
