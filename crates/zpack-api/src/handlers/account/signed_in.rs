//! `/api/sessions`: where somebody is signed in. Only they themselves may see and end it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use domain::{clock::Clock, ids::SessionId};
use store::{Db, accounts::sessions};

use crate::{auth::SignedIn, problem::Problem, view::SessionView};

/// The caller's sessions, the one that was used last first.
#[utoipa::path(
    get, path = "/sessions", tag = "account", operation_id = "listSessions",
    responses((status = 200, body = Vec<SessionView>)),
    security(("session" = []))
)]
pub async fn list(
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    caller: SignedIn,
) -> Result<Json<Vec<SessionView>>, Problem> {
    let listed = sessions::list(&db, caller.customer.id, clock.now()).await?;
    Ok(Json(listed.into_iter().map(|it| SessionView::new(it, caller.session.id)).collect()))
}

/// Ends a session: whoever has it is signed out, within seconds also where a console or an event stream is open.
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "account", operation_id = "endSession",
    params(("id" = Uuid, Path)),
    responses((status = 204)),
    security(("session" = []))
)]
pub async fn end(
    State(db): State<Db>,
    caller: SignedIn,
    id: Result<Path<SessionId>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    if sessions::close(&db, caller.customer.id, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found())
    }
}
