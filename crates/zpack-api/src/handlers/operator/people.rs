//! Everybody's accounts and servers, and looking at them as their owner does.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use domain::ids::CustomerId;
use garde::Validate;
use serde::Deserialize;
use store::{Db, accounts::customers, audit::By};
use utoipa::{IntoParams, ToSchema};

use super::rule_of_reasons;
use crate::{
    auth::{Operator, operator_actor},
    extract::{Listed, ValidJson, ValidQuery},
    problem::Problem,
    request_id::RequestId,
    view::{OperatorCustomerView, OperatorInstanceView, PageView},
};

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Search {
    /// A part of a name or an address, or a whole id; everything unless told.
    #[serde(default)]
    #[param(max_length = 200)]
    query: String,
}

/// Everybody's servers, newest first.
#[utoipa::path(
    get, path = "/operator/instances", tag = "operator", operation_id = "listAllInstances",
    params(Listed, Search),
    responses((status = 200, body = PageView<OperatorInstanceView>)),
    security(("session" = []))
)]
pub async fn instances(
    State(db): State<Db>,
    _: Operator,
    ValidQuery(listed): ValidQuery<Listed>,
    ValidQuery(Search { query }): ValidQuery<Search>,
) -> Result<Json<PageView<OperatorInstanceView>>, Problem> {
    let (found, next_cursor) = store::instances::search(&db, query.trim(), listed.page()).await?;
    let owners = found.iter().map(|it| it.customer_id).collect::<Vec<_>>();
    let emails = customers::emails(&db, &owners).await?;
    let nodes = store::nodes::list(&db).await?;
    let items = found.into_iter().map(|it| OperatorInstanceView::new(it, &emails, &nodes)).collect();
    Ok(Json(PageView { items, next_cursor }))
}

/// Accounts, newest first.
#[utoipa::path(
    get, path = "/operator/customers", tag = "operator", operation_id = "listCustomers",
    params(Listed, Search),
    responses((status = 200, body = PageView<OperatorCustomerView>)),
    security(("session" = []))
)]
pub async fn list(
    State(db): State<Db>,
    _: Operator,
    ValidQuery(listed): ValidQuery<Listed>,
    ValidQuery(Search { query }): ValidQuery<Search>,
) -> Result<Json<PageView<OperatorCustomerView>>, Problem> {
    Ok(Json(PageView::of(customers::search(&db, query.trim(), listed.page()).await?)))
}

/// Why a customer's pages are looked at.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// For the audit log.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Begins to look at an account as its owner sees it: for an hour, requests with the header `ZLH-View-As: {id}` are answered
/// as theirs would be. Only reading is possible, and nothing of files, backups and consoles.
#[utoipa::path(
    post, path = "/operator/customers/{id}/view", tag = "operator", operation_id = "viewCustomer",
    params(("id" = Uuid, Path, description = "The customer.")),
    request_body = View,
    responses((status = 204)),
    security(("session" = []))
)]
pub async fn view(
    State(db): State<Db>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<CustomerId>, PathRejection>,
    ValidJson(View { reason }): ValidJson<View>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    if !customers::begin_view(&db, id, by, reason.trim()).await? {
        return Err(Problem::not_found());
    }
    tracing::info!(customer = %id, %actor, "{actor} looks at the pages of customer {id}: {}", reason.trim());
    Ok(StatusCode::NO_CONTENT)
}
