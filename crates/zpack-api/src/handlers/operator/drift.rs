//! What the controller has found, and what was repaired because of it.

use axum::{Extension, Json, extract::State, http::StatusCode};
use domain::drift::Mode;
use garde::Validate;
use serde::Deserialize;
use store::{Db, audit::By};
use utoipa::{IntoParams, ToSchema};

use super::rule_of_reasons;
use crate::{
    auth::{Operator, operator_actor},
    extract::{ValidJson, ValidQuery},
    problem::Problem,
    request_id::RequestId,
    view::{ControllerView, FindingView, IncidentView, RepairEventView, schema},
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

/// What the controller may do from now on.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMode {
    /// `observe`: look and say. `level1`: also have Level 1 repaired.
    #[garde(skip)]
    #[schema(schema_with = schema::controller_mode)]
    mode: Mode,
    /// For the audit log, and for the other operators.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Says what the controller may do; it looks at once. The same again changes nothing.
#[utoipa::path(
    post, path = "/operator/controller/mode", tag = "operator", operation_id = "setControllerMode",
    request_body = SetMode,
    responses((status = 200, body = ControllerView)),
    security(("session" = []))
)]
pub async fn set_mode(
    State(db): State<Db>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    ValidJson(SetMode { mode, reason }): ValidJson<SetMode>,
) -> Result<Json<ControllerView>, Problem> {
    change(&db, &operator, &request_id, Some(mode), None, &reason).await
}

/// Whether anything is repaired.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPause {
    /// True: nothing is repaired until somebody says otherwise. False: go on.
    #[garde(skip)]
    paused: bool,
    /// For the audit log, and for the other operators.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Pauses the controller, or lets it go on. Paused it looks and says what it finds, and has nothing repaired.
#[utoipa::path(
    post, path = "/operator/controller/pause", tag = "operator", operation_id = "pauseController",
    request_body = SetPause,
    responses((status = 200, body = ControllerView)),
    security(("session" = []))
)]
pub async fn pause(
    State(db): State<Db>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    ValidJson(SetPause { paused, reason }): ValidJson<SetPause>,
) -> Result<Json<ControllerView>, Problem> {
    change(&db, &operator, &request_id, None, Some(paused), &reason).await
}

async fn change(
    db: &Db,
    operator: &Operator,
    request_id: &RequestId,
    mode: Option<Mode>,
    paused: Option<bool>,
    reason: &str,
) -> Result<Json<ControllerView>, Problem> {
    let (actor, reason) = (operator_actor(&operator.customer), reason.trim());
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let tells = store::controller::state(db).await?.tells;
    let changed = store::controller::set_posture(db, mode, paused, by, reason, tells).await?;
    let now = store::controller::state(db).await?;
    if changed {
        let pause = if now.paused { " and paused" } else { "" };
        tracing::info!(%actor, mode = %now.mode, paused = now.paused, "the controller is in mode {}{pause}, by {actor}: {reason}", now.mode);
    }
    Ok(Json(now.into()))
}

/// Has the controller look now rather than after its pause. What came of it the findings show, a moment later.
#[utoipa::path(
    post, path = "/operator/controller/look", tag = "operator", operation_id = "lookNow",
    responses((status = 202)),
    security(("session" = []))
)]
pub async fn look(State(db): State<Db>, _: Operator) -> Result<StatusCode, Problem> {
    store::controller::ask_for_a_look(&db).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Incidents: findings as operators are told of them. Those first that have not ended, at most 500.
#[utoipa::path(
    get, path = "/operator/incidents", tag = "operator", operation_id = "listIncidents",
    responses((status = 200, body = Vec<IncidentView>)),
    security(("session" = []))
)]
pub async fn incidents(State(db): State<Db>, _: Operator) -> Result<Json<Vec<IncidentView>>, Problem> {
    let incidents = store::controller::incidents(&db, SHOWN).await?;
    Ok(Json(incidents.into_iter().map(Into::into).collect()))
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
