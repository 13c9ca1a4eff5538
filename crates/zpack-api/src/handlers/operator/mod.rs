//! `/api/operator`: for those who run the installation. The only handlers that see more than one customer's things.

pub mod billing;
pub mod drift;
pub mod holds;
pub mod notifications;
pub mod people;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use domain::{ids::OperationId, operation::OperationState, text::has_hidden};
use garde::Validate;
use serde::Deserialize;
use store::{Db, audit::By, queue::Notifier};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{Operator, operator_actor},
    extract::{Listed, ValidJson, ValidQuery},
    problem::{Code, Problem},
    request_id::RequestId,
    view::{NodeView, OperatorOperationDetailView, OperatorOperationView, PageView, schema},
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
    /// Only those in this state; `stuck` wait for a person.
    #[param(inline, schema_with = schema::operation_state)]
    state: Option<OperationState>,
}

/// Everybody's operations, newest first.
#[utoipa::path(
    get, path = "/operator/operations", tag = "operator", operation_id = "listAllOperations",
    params(Listed, ByState),
    responses((status = 200, body = PageView<OperatorOperationView>)),
    security(("session" = []))
)]
pub async fn operations(
    State(db): State<Db>,
    _: Operator,
    ValidQuery(listed): ValidQuery<Listed>,
    ValidQuery(ByState { state }): ValidQuery<ByState>,
) -> Result<Json<PageView<OperatorOperationView>>, Problem> {
    let page = store::operations::list_all(&db, state, listed.page()).await?;
    Ok(Json(PageView::of(page)))
}

/// Anybody's operation with its journal, and what went wrong in it.
#[utoipa::path(
    get, path = "/operator/operations/{id}", tag = "operator", operation_id = "getAnyOperation",
    params(("id" = Uuid, Path, description = "The operation.")),
    responses((status = 200, body = OperatorOperationDetailView)),
    security(("session" = []))
)]
pub async fn operation(
    State(db): State<Db>,
    _: Operator,
    id: Result<Path<OperationId>, PathRejection>,
) -> Result<Json<OperatorOperationDetailView>, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    Ok(Json(detail(&db, id).await?))
}

async fn detail(db: &Db, id: OperationId) -> Result<OperatorOperationDetailView, Problem> {
    let operation = store::operations::find(db, id).await?.ok_or_else(Problem::not_found)?;
    let steps = store::operations::steps(db, &operation).await?;
    Ok(OperatorOperationDetailView::new(operation, steps))
}

/// Why a stuck operation may go on.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// What was mended, for the audit log.
    #[garde(custom(rule_of_reasons))]
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of a custom rule")]
fn rule_of_reasons(text: &str, (): &()) -> garde::Result {
    let counted = (3..=500).contains(&text.trim().chars().count());
    if counted && !has_hidden(text) {
        return Ok(());
    }
    Err(garde::Error::new("say why, in 3 to 500 visible characters"))
}

/// Lets a stuck operation go on where it gave up, once what was in its way is mended.
#[utoipa::path(
    post, path = "/operator/operations/{id}/resume", tag = "operator", operation_id = "resumeOperation",
    params(("id" = Uuid, Path, description = "The operation.")),
    request_body = Resume,
    responses((status = 202, body = OperatorOperationDetailView)),
    security(("session" = []))
)]
pub async fn resume(
    State(db): State<Db>,
    State(notifier): State<Notifier<OperationId>>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<OperationId>, PathRejection>,
    ValidJson(Resume { reason }): ValidJson<Resume>,
) -> Result<(StatusCode, Json<OperatorOperationDetailView>), Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    let reason = reason.trim();
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let Some(dispatch) = store::operations::resume_stuck(&db, id, by, reason).await? else {
        store::operations::find(&db, id).await?.ok_or_else(Problem::not_found)?;
        return Err(Problem::new(
            Code::OperationNotStuck,
            "It goes on by itself, or it has ended. Nothing was changed.",
        ));
    };
    notifier.notify(dispatch);
    tracing::info!(operation = %id, %actor, "operation {id} is let go on by {actor}: {reason}");
    Ok((StatusCode::ACCEPTED, Json(detail(&db, id).await?)))
}
