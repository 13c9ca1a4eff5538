//! `/api/instances/{id}/backups`: copies of a server's files.

pub mod change;
pub mod create;
pub mod download;
mod range;
pub mod read;
pub mod work;

use axum::{
    Json,
    http::{HeaderName, StatusCode, header},
    response::IntoResponse,
};
use domain::{
    ids::{BackupId, InstanceId, OperationId},
    operation::Operation,
};
use store::backups::{BackupRequest, Requested};

use crate::{
    app::Work,
    auth::{Caller, Ownable as _},
    problem::Problem,
    view::BackupAcceptedView,
};

/// Notifies a worker of committed work, and answers with its operation: the new one, or the one that the key named before.
async fn accepted(
    work: &Work,
    caller: &Caller,
    asked: &BackupRequest<'_>,
    requested: Requested,
) -> Result<impl IntoResponse + use<>, Problem> {
    let (operation, replayed) = match requested {
        Requested::New(dispatch) => (work.notifier.notify(dispatch), false),
        Requested::Replayed(earlier) => (earlier, true),
    };
    let view = view(work, caller, asked.instance, operation).await?;
    let location = [(header::LOCATION, format!("/api/operations/{operation}"))];
    let replayed = replayed.then_some([(HeaderName::from_static("idempotency-replayed"), "true")]);
    Ok((StatusCode::ACCEPTED, location, replayed, Json(view)))
}

/// The caller's operation with its backup, as both are now.
async fn view(
    work: &Work,
    caller: &Caller,
    instance: InstanceId,
    operation: OperationId,
) -> Result<BackupAcceptedView, Problem> {
    let owner = caller.customer.id;
    let operation = Operation::load(&work.db, owner, operation).await?.ok_or_else(Problem::not_found)?;
    let backup = match operation.backup_id {
        Some(id) => find(work, caller, instance, id).await?.map(Into::into),
        None => None,
    };
    Ok(BackupAcceptedView { backup, operation: operation.into() })
}

async fn find(
    work: &Work,
    caller: &Caller,
    instance: InstanceId,
    id: BackupId,
) -> Result<Option<domain::backup::Backup>, Problem> {
    Ok(store::backups::get(&work.db, caller.customer.id, instance, id).await?)
}
