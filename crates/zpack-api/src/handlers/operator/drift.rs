//! What the controller has found, and what was repaired because of it.

use axum::{Json, extract::State};
use serde::Deserialize;
use store::Db;
use utoipa::IntoParams;

use crate::{
    auth::Operator,
    extract::ValidQuery,
    problem::Problem,
    view::{ControllerView, FindingView, RepairEventView},
};

/// Most that are shown at once: what is older is in the tables.
const SHOWN: i64 = 500;

/// Who leads, what the controller may do, and what its last pass came to.
#[utoipa::path(
    get, path = "/operator/controller", tag = "operator", operation_id = "getController",
    responses((status = 200, body = ControllerView)),
    security(("session" = []))
)]
pub async fn controller(State(db): State<Db>, _: Operator) -> Result<Json<ControllerView>, Problem> {
    Ok(Json(store::controller::state(&db).await?.into()))
}

/// Which findings are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WithClosed {
    /// Also those that are closed.
    #[serde(default)]
    closed: bool,
}

/// What is not as it should be: the open ones first, at most 500.
#[utoipa::path(
    get, path = "/operator/findings", tag = "operator", operation_id = "listFindings",
    params(WithClosed),
    responses((status = 200, body = Vec<FindingView>)),
    security(("session" = []))
)]
pub async fn findings(
    State(db): State<Db>,
    _: Operator,
    ValidQuery(WithClosed { closed }): ValidQuery<WithClosed>,
) -> Result<Json<Vec<FindingView>>, Problem> {
    let findings = store::controller::list(&db, closed, SHOWN).await?;
    Ok(Json(findings.into_iter().map(Into::into).collect()))
}

/// What was repaired, and what was not and why: the newest 500.
#[utoipa::path(
    get, path = "/operator/repairs", tag = "operator", operation_id = "listRepairEvents",
    responses((status = 200, body = Vec<RepairEventView>)),
    security(("session" = []))
)]
pub async fn repairs(State(db): State<Db>, _: Operator) -> Result<Json<Vec<RepairEventView>>, Problem> {
    let events = store::repairs::events(&db, SHOWN).await?;
    Ok(Json(events.into_iter().map(Into::into).collect()))
}
