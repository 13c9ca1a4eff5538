//! Payments of customers: how far enforcement has come, why, and what operators may do about it. They give time, exempt, grant, and
//! have somebody looked at. What removes anything is not here.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use chrono::{DateTime, Utc};
use domain::{
    clock::Clock,
    ids::{CustomerId, GrantId},
};
use garde::Validate;
use serde::Deserialize;
use store::{
    Db,
    audit::By,
    billing::{self as rows, NewGrant, OperatorWord},
};
use utoipa::ToSchema;

use super::rule_of_reasons;
use crate::{
    app::Selling,
    auth::{Operator, operator_actor},
    extract::{Listed, ValidJson, ValidQuery},
    problem::{Code, Problem},
    request_id::RequestId,
    view::{OperatorBillingDetailView, OperatorBillingView, PageView},
};

/// Events of a customer's history that are shown.
const HISTORY: i64 = 200;

/// Customers of whom there is something to see: a stage that is not good standing, an exemption, more time, a dispute, or what needs
/// a person.
#[utoipa::path(
    get, path = "/operator/billing", tag = "operator", operation_id = "listEnforcement",
    params(Listed),
    responses((status = 200, body = PageView<OperatorBillingView>)),
    security(("session" = []))
)]
pub async fn list(
    State(db): State<Db>,
    _: Operator,
    ValidQuery(listed): ValidQuery<Listed>,
) -> Result<Json<PageView<OperatorBillingView>>, Problem> {
    Ok(Json(PageView::of(rows::list(&db, listed.page()).await?)))
}

/// What a customer's billing page shows, the evidence for it, and what happened.
#[utoipa::path(
    get, path = "/operator/billing/{id}", tag = "operator", operation_id = "getEnforcement",
    params(("id" = Uuid, Path, description = "The customer.")),
    responses((status = 200, body = OperatorBillingDetailView)),
    security(("session" = []))
)]
pub async fn get(
    State(selling): State<Selling>,
    _: Operator,
    id: Result<Path<CustomerId>, PathRejection>,
) -> Result<Json<OperatorBillingDetailView>, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    detail(&selling, id).await.map(Json)
}

async fn detail(selling: &Selling, id: CustomerId) -> Result<OperatorBillingDetailView, Problem> {
    let Selling { db, billing, catalogue } = selling;
    let account = store::accounts::customers::by_id(db, id).await?.ok_or_else(Problem::not_found)?;
    let overview = rows::overview(db, id).await?;
    let history = rows::history(db, id, HISTORY).await?;
    Ok(OperatorBillingDetailView::new(account.customer, overview, history, catalogue, billing.is_live()))
}

/// What an operator said was written down, unless there was nothing to say it of. It takes effect at the next look, which is asked
/// for here.
async fn done(
    selling: &Selling,
    customer: CustomerId,
    by: By<'_>,
    said: bool,
) -> Result<Json<OperatorBillingDetailView>, Problem> {
    if !said {
        return Err(Problem::not_found());
    }
    selling.billing.look_at(&selling.db, customer, by).await?;
    detail(selling, customer).await.map(Json)
}

/// More time.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoreTime {
    /// Until then nothing is blocked; null takes the time back.
    #[garde(skip)]
    until: Option<DateTime<Utc>>,
    /// For the history.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Gives a customer more time. What is open stays open, and what would have come comes afterwards.
#[utoipa::path(
    post, path = "/operator/billing/{id}/extension", tag = "operator", operation_id = "extendPayment",
    params(("id" = Uuid, Path, description = "The customer.")),
    request_body(content = MoreTime),
    responses((status = 200, body = OperatorBillingDetailView)),
    security(("session" = []))
)]
pub async fn extend(
    State(selling): State<Selling>,
    State(clock): State<Arc<dyn Clock>>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<CustomerId>, PathRejection>,
    ValidJson(body): ValidJson<MoreTime>,
) -> Result<Json<OperatorBillingDetailView>, Problem> {
    let Path(customer) = id.map_err(|_| Problem::not_found())?;
    let longest = clock.now() + chrono::TimeDelta::days(3_660);
    if body.until.is_some_and(|until| until > longest) {
        let why = "at most ten years ahead; exempt the customer instead";
        return Err(Problem::new(Code::ValidationFailed, "Nothing was changed.").field("until", why));
    }
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let word = OperatorWord { customer, reason: body.reason.trim(), by };
    let said = rows::extend(&selling.db, word, body.until).await?;
    tracing::info!(%customer, %actor, "{actor} gives customer {customer} time until {:?}: {}", body.until, word.reason);
    done(&selling, customer, by, said).await
}

/// An exemption.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exemption {
    /// Whether nothing is enforced.
    #[garde(skip)]
    exempt: bool,
    /// For the history.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Exempts a customer from enforcement, or ends that.
#[utoipa::path(
    post, path = "/operator/billing/{id}/exemption", tag = "operator", operation_id = "exemptPayment",
    params(("id" = Uuid, Path, description = "The customer.")),
    request_body = Exemption,
    responses((status = 200, body = OperatorBillingDetailView)),
    security(("session" = []))
)]
pub async fn exempt(
    State(selling): State<Selling>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<CustomerId>, PathRejection>,
    ValidJson(body): ValidJson<Exemption>,
) -> Result<Json<OperatorBillingDetailView>, Problem> {
    let Path(customer) = id.map_err(|_| Problem::not_found())?;
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let word = OperatorWord { customer, reason: body.reason.trim(), by };
    let said = rows::exempt(&selling.db, word, body.exempt).await?;
    tracing::info!(%customer, %actor, exempt = body.exempt, "{actor} sets the exemption of customer {customer} to {}: {}", body.exempt, word.reason);
    done(&selling, customer, by, said).await
}

/// Servers without a subscription.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrantBody {
    /// Plan id; servers of any plan if missing.
    #[serde(default)]
    #[garde(inner(length(min = 1, max = 40)))]
    plan: Option<String>,
    /// How many servers.
    #[garde(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10_000)]
    quantity: i32,
    /// Until when; for ever if missing.
    #[serde(default)]
    #[garde(skip)]
    expires_at: Option<DateTime<Utc>>,
    /// For the history.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Lets a customer have servers without a subscription.
#[utoipa::path(
    post, path = "/operator/billing/{id}/grants", tag = "operator", operation_id = "grantServers",
    params(("id" = Uuid, Path, description = "The customer.")),
    request_body = NewGrantBody,
    responses((status = 200, body = OperatorBillingDetailView)),
    security(("session" = []))
)]
pub async fn grant(
    State(selling): State<Selling>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<CustomerId>, PathRejection>,
    ValidJson(body): ValidJson<NewGrantBody>,
) -> Result<Json<OperatorBillingDetailView>, Problem> {
    let Path(customer) = id.map_err(|_| Problem::not_found())?;
    if let Some(plan) = &body.plan
        && selling.catalogue.plan(plan).is_none()
    {
        let why = format!("there is no plan {plan:?}");
        return Err(Problem::new(Code::UnknownPlan, "Nothing was granted.").field("plan", why));
    }
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let new = NewGrant {
        customer,
        plan: body.plan.as_deref(),
        quantity: body.quantity,
        reason: body.reason.trim(),
        expires_at: body.expires_at,
        by,
    };
    let made = rows::add_grant(&selling.db, &new).await?;
    tracing::info!(%customer, %actor, "{actor} grants customer {customer} {} servers: {}", body.quantity, new.reason);
    done(&selling, customer, by, made.is_some()).await
}

/// Why.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// For the history.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Takes a grant back: no more servers are made by it. Those that there are stay.
#[utoipa::path(
    post, path = "/operator/billing/{id}/grants/{grant}/revoke", tag = "operator", operation_id = "revokeGrant",
    params(("id" = Uuid, Path, description = "The customer."), ("grant" = Uuid, Path)),
    request_body = Revocation,
    responses((status = 200, body = OperatorBillingDetailView)),
    security(("session" = []))
)]
pub async fn revoke(
    State(selling): State<Selling>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    ids: Result<Path<(CustomerId, GrantId)>, PathRejection>,
    ValidJson(body): ValidJson<Revocation>,
) -> Result<Json<OperatorBillingDetailView>, Problem> {
    let Path((customer, grant)) = ids.map_err(|_| Problem::not_found())?;
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let said = rows::revoke_grant(&selling.db, customer, grant, body.reason.trim(), by).await?;
    done(&selling, customer, by, said).await
}

/// What is to be done.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BillingActionBody {
    /// `sync`: compare this customer with Stripe. `backfill`: look for events that never arrived, and compare everybody. Whatever
    /// else is asked for is refused, and the refusal is kept with the customer's history.
    #[garde(length(min = 1, max = 64))]
    action: String,
}

/// Asks billing-worker for something.
#[utoipa::path(
    post, path = "/operator/billing/{id}/actions", tag = "operator", operation_id = "requestBillingAction",
    params(("id" = Uuid, Path, description = "The customer.")),
    request_body = BillingActionBody,
    responses((status = 202)),
    security(("session" = []))
)]
pub async fn act(
    State(Selling { db, billing, .. }): State<Selling>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<CustomerId>, PathRejection>,
    ValidJson(body): ValidJson<BillingActionBody>,
) -> Result<StatusCode, Problem> {
    let Path(customer) = id.map_err(|_| Problem::not_found())?;
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    if let Some(dispatch) = rows::request(&db, customer, &body.action, by).await? {
        billing.notify(dispatch);
    }
    Ok(StatusCode::ACCEPTED)
}
