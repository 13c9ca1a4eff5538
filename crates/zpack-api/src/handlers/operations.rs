//! `/api/operations`: durable work on the caller's instances.

use axum::{Extension, Json, extract::State, http::StatusCode};
use domain::{
    ids::InstanceId,
    operation::{CANCELLED_CODE, Operation},
};
use serde::Deserialize;
use store::{Db, audit::By, operations::Cancelled};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    auth::{ManageBackups, May, Ownable as _, Owned, ReadInstances},
    extract::{Listed, ValidQuery},
    problem::{Code, Problem},
    request_id::RequestId,
    view::{OperationDetailView, OperationView, PageView},
};

/// Which operations are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those on this instance.
    instance_id: Option<Uuid>,
}

/// The caller's operations, newest first.
#[utoipa::path(
    get, path = "/operations", tag = "operations", operation_id = "listOperations",
    params(Listed, Filter),
    responses((status = 200, body = PageView<OperationView>)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn list(
    State(db): State<Db>,
    caller: May<ReadInstances>,
    ValidQuery(listed): ValidQuery<Listed>,
    ValidQuery(filter): ValidQuery<Filter>,
) -> Result<Json<PageView<OperationView>>, Problem> {
    let instance = filter.instance_id.map(InstanceId);
    let page = store::operations::list(&db, caller.customer.id, instance, listed.page()).await?;
    Ok(Json(PageView::of(page)))
}

/// One operation, with its steps so far.
#[utoipa::path(
    get, path = "/operations/{id}", tag = "operations", operation_id = "getOperation",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = OperationDetailView)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn get(
    State(db): State<Db>,
    operation: Owned<Operation, ReadInstances>,
) -> Result<Json<OperationDetailView>, Problem> {
    let steps = store::operations::steps(&db, &operation.it).await?;
    let queue_position = store::operations::place(&db, &operation.it).await?;
    let steps = steps.into_iter().map(Into::into).collect();
    Ok(Json(OperationDetailView { operation: operation.it.into(), queue_position, steps }))
}

/// Gives up a backup or a verification. One that waits ends at once; one under way within seconds, unless it is done before.
/// Nothing of the server changes. Asked for again the answer is the same.
#[utoipa::path(
    post, path = "/operations/{id}/cancel", tag = "operations", operation_id = "cancelOperation",
    params(("id" = Uuid, Path)),
    responses((status = 202, body = OperationView)),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn cancel(
    State(db): State<Db>,
    Owned { it, caller }: Owned<Operation, ManageBackups>,
    Extension(request_id): Extension<RequestId>,
) -> Result<(StatusCode, Json<OperationView>), Problem> {
    let again = it.failure.as_ref().is_some_and(|failure| failure.code == CANCELLED_CODE);
    let by = By { actor: &caller.actor(), request_id: Some(&request_id.0) };
    if !again && store::operations::cancel(&db, &it, by).await? == Cancelled::Refused {
        let detail = "Nothing was changed: it has ended, or is not a backup or a verification.";
        return Err(Problem::new(Code::OperationNotCancellable, detail));
    }
    let now = Operation::load(&db, caller.customer.id, it.id).await?.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(now.into())))
}
