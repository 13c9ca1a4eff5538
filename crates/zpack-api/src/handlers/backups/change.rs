//! `PATCH` and `DELETE /api/instances/{id}/backups/{backup}`.

use axum::{Extension, Json, extract::State, http::StatusCode};
use domain::{backup::Backup, ids::OperationId};
use garde::Validate;
use serde::Deserialize;
use store::{
    Db,
    backups::{BackupRequest, Edit, RemoveOutcome},
};
use utoipa::ToSchema;

use super::find;
use crate::{
    app::Work,
    auth::{ManageBackups, Owned},
    extract::ValidJson,
    problem::{Code, Problem},
    request_id::RequestId,
    rules,
    view::BackupView,
};

/// What is to be changed; what is missing stays.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditBackup {
    /// Its new name.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = 100), custom(rules::name)))]
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Whether it is kept: neither deleted nor made room with.
    #[serde(default)]
    #[garde(skip)]
    locked: Option<bool>,
}

/// Renames, locks or unlocks a backup.
#[utoipa::path(
    patch, path = "/instances/{id}/backups/{backup}", tag = "backups", operation_id = "updateBackup",
    params(("id" = Uuid, Path), ("backup" = Uuid, Path)),
    request_body = EditBackup,
    responses((status = 200, body = BackupView)),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn edit(
    State(work): State<Work>,
    Owned { it, caller }: Owned<Backup, ManageBackups>,
    ValidJson(body): ValidJson<EditBackup>,
) -> Result<Json<BackupView>, Problem> {
    let edit = Edit { name: body.name.as_deref(), locked: body.locked };
    if !store::backups::edit(&work.db, caller.customer.id, it.instance_id, it.id, edit).await? {
        let detail = "Nothing was changed: the backup is being removed.";
        return Err(Problem::new(Code::BackupNotAvailable, detail));
    }
    let backup = find(&work, &caller, it.instance_id, it.id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(backup.into()))
}

/// Deletes a backup. It leaves the list once it is removed from the storage.
#[utoipa::path(
    delete, path = "/instances/{id}/backups/{backup}", tag = "backups", operation_id = "deleteBackup",
    params(("id" = Uuid, Path), ("backup" = Uuid, Path)),
    responses((status = 202, description = "It is being removed")),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn delete(
    State(db): State<Db>,
    Owned { it, caller }: Owned<Backup, ManageBackups>,
    Extension(request_id): Extension<RequestId>,
) -> Result<StatusCode, Problem> {
    let asked = BackupRequest {
        customer: caller.customer.id,
        instance: it.instance_id,
        operation: OperationId::generate(),
        key: None,
        actor: &caller.actor(),
        request_id: Some(&request_id.0),
    };
    match store::backups::request_removal(&db, &asked, it.id).await? {
        RemoveOutcome::Removing => Ok(StatusCode::ACCEPTED),
        RemoveOutcome::Refused(why) => Err(why.into()),
        RemoveOutcome::Absent => Err(Problem::not_found()),
    }
}
