//! `GET /api/instances`, `GET /api/instances/{id}`.

use axum::{Json, extract::State, response::IntoResponse};
use domain::instance::Instance;
use store::Db;

use crate::{
    auth::{May, Owned, ReadInstances},
    extract::{Etag, Listed, ValidQuery},
    problem::Problem,
    view::{InstanceView, PageView},
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
