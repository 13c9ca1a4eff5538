//! `POST …/backups/{backup}/restore` and `…/verify`.

use axum::{Extension, extract::State, response::IntoResponse};
use domain::{backup::Backup, ids::OperationId};
use sha2::{Digest as _, Sha256};
use store::backups::{BackupRequest, Use};

use super::accepted;
use crate::{
    app::Work,
    auth::{ManageBackups, May, Owned},
    extract::IdempotencyKey,
    problem::Problem,
    request_id::RequestId,
};

/// Puts a backup in the place of a server's files. All of it is downloaded and checked first; then the server is
/// stopped, the files are exchanged, and the server is started if it is to run. If anything fails it has its old files.
#[utoipa::path(
    post, path = "/instances/{id}/backups/{backup}/restore", tag = "backups", operation_id = "restoreBackup",
    params(
        ("id" = Uuid, Path), ("backup" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A new random value; the same one to try again.")
    ),
    responses((status = 202, body = crate::view::BackupAcceptedView, headers(
        ("location" = String, description = "The operation"),
        ("idempotency-replayed" = Option<String>, description = "`true` if the key was used before")
    ))),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn restore(
    State(work): State<Work>,
    Owned { it, caller }: Owned<Backup, ManageBackups>,
    Extension(request_id): Extension<RequestId>,
    key: Option<IdempotencyKey>,
) -> Result<impl IntoResponse, Problem> {
    ask(&work, &it, &caller, &request_id, key, Use::Restore).await
}

/// Reads a backup again, all of it, and compares it with its manifest. The server's files are not touched.
#[utoipa::path(
    post, path = "/instances/{id}/backups/{backup}/verify", tag = "backups", operation_id = "verifyBackup",
    params(
        ("id" = Uuid, Path), ("backup" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A new random value; the same one to try again.")
    ),
    responses((status = 202, body = crate::view::BackupAcceptedView, headers(
        ("location" = String, description = "The operation"),
        ("idempotency-replayed" = Option<String>, description = "`true` if the key was used before")
    ))),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn verify(
    State(work): State<Work>,
    Owned { it, caller }: Owned<Backup, ManageBackups>,
    Extension(request_id): Extension<RequestId>,
    key: Option<IdempotencyKey>,
) -> Result<impl IntoResponse, Problem> {
    ask(&work, &it, &caller, &request_id, key, Use::Verify).await
}

async fn ask(
    work: &Work,
    backup: &Backup,
    caller: &May<ManageBackups>,
    request_id: &RequestId,
    key: Option<IdempotencyKey>,
    wanted: Use,
) -> Result<impl IntoResponse + use<>, Problem> {
    let hash = Sha256::digest(format!("{wanted:?} {}", backup.id)).into();
    let asked = BackupRequest {
        customer: caller.customer.id,
        instance: backup.instance_id,
        operation: OperationId::generate(),
        key: key.as_ref().map(|key| (key.0.as_str(), hash)),
        actor: &caller.actor(),
        request_id: Some(&request_id.0),
    };
    let requested =
        store::backups::request_use(&work.db, &asked, backup.id, wanted, work.clock.now()).await?;
    accepted(work, caller, &asked, requested).await
}
