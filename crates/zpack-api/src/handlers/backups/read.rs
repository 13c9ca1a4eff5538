//! `GET /api/instances/{id}/backups` and `GET …/backups/{backup}`.

use axum::{Json, extract::State};
use domain::{backup::Backup, instance::Instance};
use store::Db;

use crate::{
    auth::{ManageBackups, Owned},
    extract::{Listed, ValidQuery},
    problem::Problem,
    view::{BackupView, PageView},
};

/// A server's backups, newest first.
#[utoipa::path(
    get, path = "/instances/{id}/backups", tag = "backups", operation_id = "listBackups",
    params(("id" = Uuid, Path), Listed),
    responses((status = 200, body = PageView<BackupView>)),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn list(
    State(db): State<Db>,
    Owned { it, caller }: Owned<Instance, ManageBackups>,
    ValidQuery(listed): ValidQuery<Listed>,
) -> Result<Json<PageView<BackupView>>, Problem> {
    let page = store::backups::list(&db, caller.customer.id, it.id, listed.page()).await?;
    Ok(Json(PageView::of(page)))
}

/// One backup.
#[utoipa::path(
    get, path = "/instances/{id}/backups/{backup}", tag = "backups", operation_id = "getBackup",
    params(("id" = Uuid, Path), ("backup" = Uuid, Path)),
    responses((status = 200, body = BackupView)),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn get(backup: Owned<Backup, ManageBackups>) -> Json<BackupView> {
    Json(backup.it.into())
}
