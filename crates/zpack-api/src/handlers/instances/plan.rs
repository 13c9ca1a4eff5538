//! `POST` and `GET /api/instances/{id}/plan`.

use axum::{Extension, Json, extract::State, http::StatusCode};
use domain::instance::Instance;
use garde::Validate;
use serde::{Deserialize, Serialize};
use store::{Db, audit::By};
use utoipa::ToSchema;

use crate::{
    app::Selling,
    auth::{ChangePlans, Owned, ReadInstances, SignedIn},
    extract::ValidJson,
    plan_changes::{PlanChanges, WantedPlan, check},
    problem::Problem,
    request_id::RequestId,
    view::PlanChangeView,
};

/// Another plan for a server.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePlan {
    /// Plan id.
    #[garde(length(min = 1, max = 40))]
    plan: String,
}

/// Gives a server another plan. A bigger one is paid for the rest of the period first, and the server is changed then; of a smaller
/// one the difference is credited once the server is changed. The server restarts for it. Asked for again, the same change goes on.
#[utoipa::path(
    post, path = "/instances/{id}/plan", tag = "instances", operation_id = "changePlan",
    params(("id" = Uuid, Path)),
    request_body = ChangePlan,
    responses((status = 202, body = PlanChangeView)),
    security(("session" = []))
)]
pub async fn change(
    State(changes): State<PlanChanges>,
    State(Selling { db, catalogue, .. }): State<Selling>,
    _by_a_person: SignedIn,
    Owned { it, caller }: Owned<Instance, ChangePlans>,
    Extension(request_id): Extension<RequestId>,
    ValidJson(body): ValidJson<ChangePlan>,
) -> Result<(StatusCode, Json<PlanChangeView>), Problem> {
    let blueprint = store::blueprints::get(&db, &it.blueprint_version).await?;
    let plan = check(&catalogue, &it, &body.plan, blueprint.map(|it| it.min_memory_mib))?;
    let actor = caller.actor();
    let wanted = WantedPlan {
        customer: &caller.customer,
        instance: &it,
        plan: &plan,
        by: By { actor: &actor, request_id: Some(&request_id.0) },
    };
    let change = changes.request(&catalogue, &wanted).await?;
    Ok((StatusCode::ACCEPTED, Json(change.into())))
}

/// The last change of a server's plan.
#[derive(Serialize, ToSchema)]
#[schema(as = LastPlanChange)]
pub struct LastPlanChangeView {
    /// Null if there never was one.
    #[schema(required)]
    change: Option<PlanChangeView>,
}

/// How the last change of a server's plan stands.
#[utoipa::path(
    get, path = "/instances/{id}/plan", tag = "instances", operation_id = "getPlanChange",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = LastPlanChangeView)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn get(
    State(db): State<Db>,
    Owned { it, caller }: Owned<Instance, ReadInstances>,
) -> Result<Json<LastPlanChangeView>, Problem> {
    let change = store::billing::plan_changes::newest(&db, caller.customer.id, it.id).await?;
    Ok(Json(LastPlanChangeView { change: change.map(Into::into) }))
}
