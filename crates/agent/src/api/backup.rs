//! Backups: `PUT /v1/backup` begins work or goes on with it, `GET /v1/backup` says where it stands.

use std::time::Duration;

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use domain::agent::{BackupStatus, BackupTask, MAX_BACKUP_WAIT_MS};
use serde::Deserialize;

use super::{App, problem::Problem};
use crate::backup::BackupRefusal;

/// Query of `GET /v1/backup`.
#[derive(Debug, Deserialize)]
pub(super) struct StatusQuery {
    since: Option<u64>,
    #[serde(default)]
    wait_ms: u64,
}

/// Begins work, or goes on with it; answers before it is done, but for exchanges of folders.
pub(super) async fn put(
    State(app): State<App>,
    body: Result<Json<BackupTask>, JsonRejection>,
) -> Result<(StatusCode, Json<BackupStatus>), Problem> {
    let Json(task) = body?;
    Ok((StatusCode::ACCEPTED, Json(app.backups.put(task).await?)))
}

/// Where the work stands; waits for a change when asked to.
pub(super) async fn status(
    State(app): State<App>,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Json<BackupStatus>, Problem> {
    let Query(query) = query?;
    let wait = Duration::from_millis(query.wait_ms.min(MAX_BACKUP_WAIT_MS));
    let status = app.backups.status_after(query.since, wait).await;
    status.map(Json).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no_backup_task", "there was no work on backups yet")
    })
}

impl From<BackupRefusal> for Problem {
    fn from(refusal: BackupRefusal) -> Self {
        let status = match refusal {
            BackupRefusal::Busy
            | BackupRefusal::Swapped
            | BackupRefusal::ServiceRunning
            | BackupRefusal::NotStaged => StatusCode::CONFLICT,
            BackupRefusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            BackupRefusal::NotSaved | BackupRefusal::NotExchanged(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refusal.code(), refusal.to_string())
    }
}
