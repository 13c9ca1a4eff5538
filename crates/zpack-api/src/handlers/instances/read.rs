//! `GET /api/instances`, `GET /api/instances/{id}`, and what there is to see of one: load and activity.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use domain::{clock::Clock, instance::Instance};
use store::Db;

use crate::{
    auth::{May, Owned, ReadInstances},
    extract::{Etag, Listed, ValidQuery},
    problem::Problem,
    view::{ActivityView, InstanceView, LoadSampleView, PageView},
};

/// The caller's servers, newest first.
#[utoipa::path(
    get, path = "/instances", tag = "instances", operation_id = "listInstances",
    params(Listed),
    responses((status = 200, body = PageView<InstanceView>)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn list(
    State(db): State<Db>,
    caller: May<ReadInstances>,
    ValidQuery(listed): ValidQuery<Listed>,
) -> Result<Json<PageView<InstanceView>>, Problem> {
    let page = store::instances::list(&db, caller.customer.id, listed.page()).await?;
    Ok(Json(PageView::of(page)))
}

/// One server. Its `ETag` is for `If-Match` of an edit.
#[utoipa::path(
    get, path = "/instances/{id}", tag = "instances", operation_id = "getInstance",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = InstanceView, headers(("etag" = String)))),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn get(instance: Owned<Instance, ReadInstances>) -> impl IntoResponse {
    (Etag(instance.it.row_version), Json(InstanceView::from(instance.it)))
}

/// What a server used in the last hour, oldest first: a sample about every 20 seconds while it runs.
#[utoipa::path(
    get, path = "/instances/{id}/load", tag = "instances", operation_id = "getInstanceLoad",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Vec<LoadSampleView>)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn load(
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    Owned { it, caller }: Owned<Instance, ReadInstances>,
) -> Result<Json<Vec<LoadSampleView>>, Problem> {
    let samples = store::power::samples(&db, caller.customer.id, it.id, clock.now()).await?;
    Ok(Json(samples.into_iter().map(Into::into).collect()))
}

/// What was done to a server, newest first.
#[utoipa::path(
    get, path = "/instances/{id}/activity", tag = "instances", operation_id = "listInstanceActivity",
    params(("id" = Uuid, Path), Listed),
    responses((status = 200, body = PageView<ActivityView>)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn activity(
    State(db): State<Db>,
    Owned { it, caller }: Owned<Instance, ReadInstances>,
    ValidQuery(listed): ValidQuery<Listed>,
) -> Result<Json<PageView<ActivityView>>, Problem> {
    let page = store::audit::of_instance(&db, caller.customer.id, it.id, listed.page()).await?;
    Ok(Json(PageView::of(page)))
}
