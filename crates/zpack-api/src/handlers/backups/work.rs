//! `POST …/backups/{backup}/restore` and `…/verify`.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    backup::{Backup, BackupOrigin},
    enforcement::Gate,
    ids::{BackupId, OperationId},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::backups::{BackupRequest, NewBackup, Use};
use utoipa::IntoParams;

use super::accepted;
use crate::{
    app::Work,
    auth::{Caller, ManageBackups, Owned, RestoreBackups},
    catalogue::Catalogue,
    extract::{IdempotencyKey, ValidQuery},
    problem::Problem,
    request_id::RequestId,
};

/// Longest name of a backup.
const MAX_NAME_CHARS: usize = 100;

/// How a restore is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// Whether the files are backed up as they are now, before. Then the operation that is answered is the backup's, and
    /// its `next_operation_id` the restore's, which begins with the backup's success: if it fails nothing is restored.
    #[serde(default)]
    backup_first: bool,
}

/// Puts a backup in the place of a server's files. All of it is downloaded and checked first; then the server is
/// stopped, the files are exchanged, and the server is started if it is to run. If anything fails it has its old files.
#[utoipa::path(
    post, path = "/instances/{id}/backups/{backup}/restore", tag = "backups", operation_id = "restoreBackup",
    params(
        ("id" = Uuid, Path), ("backup" = Uuid, Path), How,
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
    State(catalogue): State<Arc<Catalogue>>,
    Owned { it, caller }: Owned<Backup, RestoreBackups>,
    Extension(request_id): Extension<RequestId>,
    key: Option<IdempotencyKey>,
    ValidQuery(How { backup_first }): ValidQuery<How>,
) -> Result<Response, Problem> {
    if !backup_first {
        return ask(&work, &it, &caller, &request_id, key, Use::Restore)
            .await
            .map(IntoResponse::into_response);
    }
    let stage = caller.customer.stage;
    if !stage.allows(Gate::NewBackups) {
        return Err(Problem::payment_open(stage, Gate::NewBackups));
    }
    let instance = store::instances::get(&work.db, caller.customer.id, it.instance_id).await?;
    let instance = instance.ok_or_else(Problem::not_found)?;
    let hash = Sha256::digest(format!("backup, then {:?} {}", Use::Restore, it.id)).into();
    let actor = caller.actor();
    let asked = BackupRequest {
        customer: caller.customer.id,
        instance: it.instance_id,
        operation: OperationId::generate(),
        key: key.as_ref().map(|key| (key.0.as_str(), hash)),
        actor: &actor,
        request_id: Some(&request_id.0),
    };
    let now = work.clock.now();
    let backup = NewBackup {
        id: BackupId::generate(),
        name: &name_before(&it.name),
        origin: BackupOrigin::Customer,
        ignore: &[],
        keep: catalogue.plan(&instance.plan).map_or(0, |plan| plan.backups),
    };
    let requested = store::backups::request_restore_after(&work.db, &asked, &backup, it.id, now).await?;
    accepted(&work, &caller, &asked, requested).await.map(IntoResponse::into_response)
}

/// What a backup is called that is made before another one is restored.
fn name_before(restored: &str) -> String {
    const PREFIX: &str = "Before ";
    PREFIX.chars().chain(restored.chars()).take(MAX_NAME_CHARS).collect()
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
    caller: &Caller,
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
