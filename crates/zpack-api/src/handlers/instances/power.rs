//! `POST /api/instances/{id}/power` and `GET /api/instances/{id}/status`.

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use domain::{agent::PowerAction, instance::Instance};
use garde::Validate;
use serde::Deserialize;
use store::{Db, audit::By};
use utoipa::ToSchema;

use crate::{
    auth::{Owned, PowerInstances, ReadInstances},
    extract::ValidJson,
    power::Power,
    problem::Problem,
    request_id::RequestId,
    view::{InstanceStatusView, InstanceView, StatusView},
};

/// What is to be done.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerChange {
    /// `start`, `stop` (asks it to end, and kills it after its grace), `restart`, or `kill` (at once).
    #[garde(skip)]
    #[schema(schema_with = action_schema)]
    action: PowerAction,
}

fn action_schema() -> utoipa::openapi::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(["start", "stop", "restart", "kill"]))
        .build()
}

/// A server whose power was switched.
#[derive(serde::Serialize, ToSchema)]
pub struct Switched {
    /// As it is now.
    instance: InstanceView,
    /// What its agent answered.
    status: StatusView,
}

/// Switches a server. The request is stored first: what cannot be done now is not forgotten.
#[utoipa::path(
    post, path = "/instances/{id}/power", tag = "instances", operation_id = "sendPowerAction",
    params(("id" = Uuid, Path)),
    request_body = PowerChange,
    responses((status = 202, body = Switched)),
    security(("session" = []), ("api_key" = ["instances:power"]))
)]
pub async fn switch(
    State(power): State<Power>,
    State(db): State<Db>,
    Owned { it, caller }: Owned<Instance, PowerInstances>,
    Extension(request_id): Extension<RequestId>,
    ValidJson(body): ValidJson<PowerChange>,
) -> Result<impl IntoResponse, Problem> {
    let by = By { actor: &caller.actor(), request_id: Some(&request_id.0) };
    let status = power.switch(&it, body.action, by).await?;
    let instance = store::instances::get(&db, caller.customer.id, it.id).await?;
    let instance = instance.ok_or_else(Problem::not_found)?.into();
    Ok((StatusCode::ACCEPTED, Json(Switched { instance, status: status.into() })))
}

/// What a server does at this moment, and what it uses.
#[utoipa::path(
    get, path = "/instances/{id}/status", tag = "instances", operation_id = "getInstanceStatus",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = InstanceStatusView)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn status(
    State(power): State<Power>,
    instance: Owned<Instance, ReadInstances>,
) -> Result<Json<InstanceStatusView>, Problem> {
    let (status, usage) = power.look(&instance.it, true).await?;
    let players = usage.and_then(|usage| usage.players).map(Into::into);
    let load = instance.it.load.map(Into::into);
    Ok(Json(InstanceStatusView { status: status.into(), load, players }))
}
