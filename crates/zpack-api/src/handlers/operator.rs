//! `/api/operator`: for those who run the installation. The only handlers that see more than one customer's things.

use axum::{Json, extract::State};
use serde::Deserialize;
use store::Db;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Operator,
    extract::{Listed, ValidQuery},
    problem::Problem,
    view::{NodeView, OperationView, PageView},
};

/// Machines and how full they are.
#[utoipa::path(
    get, path = "/operator/nodes", tag = "operator", operation_id = "listNodes",
    responses((status = 200, body = Vec<NodeView>)),
    security(("session" = []))
)]
pub async fn nodes(State(db): State<Db>, _: Operator) -> Result<Json<Vec<NodeView>>, Problem> {
    let nodes = store::nodes::list(&db).await?;
    Ok(Json(nodes.into_iter().map(Into::into).collect()))
}

/// Which operations are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByState {
    /// Only `stuck`: those wait for a person.
    #[param(inline)]
    #[expect(dead_code, reason = "it has one value; naming it leaves room for more")]
    state: WantedState,
}

/// States that operators look for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WantedState {
    /// An undo failed, or a delete cannot go on.
    Stuck,
}

/// Everybody's operations that are stuck, newest first.
#[utoipa::path(
    get, path = "/operator/operations", tag = "operator", operation_id = "listStuckOperations",
    params(Listed, ByState),
    responses((status = 200, body = PageView<OperationView>)),
    security(("session" = []))
)]
pub async fn stuck_operations(
    State(db): State<Db>,
    _: Operator,
    ValidQuery(listed): ValidQuery<Listed>,
    ValidQuery(ByState { .. }): ValidQuery<ByState>,
) -> Result<Json<PageView<OperationView>>, Problem> {
    let page = store::operations::list_stuck(&db, listed.page()).await?;
    Ok(Json(PageView::of(page)))
}
