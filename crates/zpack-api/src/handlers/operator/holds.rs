//! Holds of operators: a reason for which a server may not run, put and lifted by a person.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
};
use domain::{clock::Clock, ids::InstanceId, instance::HoldReason};
use garde::Validate;
use serde::Deserialize;
use store::{
    Db,
    audit::By,
    holds::{self, NewHold},
};
use utoipa::ToSchema;

use super::rule_of_reasons;
use crate::{
    auth::{Operator, operator_actor},
    extract::ValidJson,
    problem::{Code, Problem},
    request_id::RequestId,
    view::{InstanceView, schema},
};

/// A hold to be put on a server.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceHold {
    /// `abuse` or `operator`. Payments place and lift theirs by themselves.
    #[garde(skip)]
    #[schema(schema_with = schema::hold_reason)]
    reason: HoldReason,
    /// What the customer reads on the server, and other operators in the log.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    note: String,
}

/// Puts a server on hold: it is stopped, and may not run until the hold is lifted. Its files stay and can be read. One that is in
/// force for the same reason stays as it is.
#[utoipa::path(
    post, path = "/operator/instances/{id}/holds", tag = "operator", operation_id = "placeHold",
    params(("id" = Uuid, Path)),
    request_body = PlaceHold,
    responses((status = 200, body = InstanceView)),
    security(("session" = []))
)]
pub async fn place(
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<InstanceId>, PathRejection>,
    ValidJson(body): ValidJson<PlaceHold>,
) -> Result<Json<InstanceView>, Problem> {
    let instance = theirs(&db, id, body.reason).await?;
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let hold = NewHold { instance, reason: body.reason, note: body.note.trim(), stop: true, by };
    if holds::place(&db, &hold, clock.now()).await? {
        tracing::info!(%instance, %actor, "{actor} puts {instance} on hold for {}: {}", body.reason, hold.note);
    }
    shown(&db, instance).await
}

/// A hold to be lifted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftHold {
    /// Which: `abuse` or `operator`.
    #[garde(skip)]
    #[schema(schema_with = schema::hold_reason)]
    reason: HoldReason,
}

/// Lifts a hold. What was running when it came starts again, unless there is another hold.
#[utoipa::path(
    post, path = "/operator/instances/{id}/holds/lift", tag = "operator", operation_id = "liftHold",
    params(("id" = Uuid, Path)),
    request_body = LiftHold,
    responses((status = 200, body = InstanceView)),
    security(("session" = []))
)]
pub async fn lift(
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<InstanceId>, PathRejection>,
    ValidJson(body): ValidJson<LiftHold>,
) -> Result<Json<InstanceView>, Problem> {
    let instance = theirs(&db, id, body.reason).await?;
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    if holds::release(&db, instance, body.reason, by, clock.now()).await? {
        tracing::info!(%instance, %actor, "{actor} lifts the hold of {instance} for {}", body.reason);
    }
    shown(&db, instance).await
}

/// The server, if a person may put and lift a hold for this reason.
async fn theirs(
    db: &Db,
    id: Result<Path<InstanceId>, PathRejection>,
    reason: HoldReason,
) -> Result<InstanceId, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    if reason == HoldReason::Billing {
        let detail = "Nothing was changed: holds of payments follow from what is open at Stripe. Give the customer more time, or exempt \
                      them, and it is lifted by itself.";
        return Err(Problem::new(Code::BillingActionRefused, detail));
    }
    let there = store::instances::get_for_work(db, id).await?;
    there.map(|it| it.id).ok_or_else(Problem::not_found)
}

async fn shown(db: &Db, id: InstanceId) -> Result<Json<InstanceView>, Problem> {
    let now = store::instances::get_for_work(db, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(now.into()))
}
