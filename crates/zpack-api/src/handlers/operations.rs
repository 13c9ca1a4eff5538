//! `/api/operations`: durable work on the caller's instances.

use axum::{Json, extract::State};
use domain::{ids::InstanceId, operation::Operation};
use serde::Deserialize;
use store::Db;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    auth::{May, Owned, ReadInstances},
    extract::{Listed, ValidQuery},
    problem::Problem,
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
