//! `POST /api/instances/{id}/ide/tickets`: opening a development workspace.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use domain::{enforcement::Gate, ids::InstanceId};
use serde::Serialize;
use store::Db;
use utoipa::ToSchema;

use crate::{
    auth::SignedIn,
    ide::{self, Ide},
    problem::Problem,
};

/// Opens a workspace in a browser, once.
#[derive(Serialize, ToSchema)]
pub struct IdeTicket {
    /// To be opened in a browser. It is at the workspace's own host, which gets a cookie of its own.
    url: String,
    /// When the address is worth nothing any more.
    expires_at: DateTime<Utc>,
}

/// Makes an address that opens a workspace. Only a signed-in person may: what is opened ends with their session.
#[utoipa::path(
    post, path = "/instances/{id}/ide/tickets", tag = "instances", operation_id = "createIdeTicket",
    params(("id" = Uuid, Path)),
    responses((status = 201, body = IdeTicket)),
    security(("session" = []))
)]
pub async fn create_ticket(
    State(db): State<Db>,
    State(ide): State<Ide>,
    signed_in: SignedIn,
    id: Result<Path<InstanceId>, axum::extract::rejection::PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let stage = signed_in.customer.stage;
    if !stage.allows(Gate::Ide) {
        return Err(Problem::payment_open(stage, Gate::Ide));
    }
    // What is no id names nothing.
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    let instance = store::instances::get(&db, signed_in.customer.id, id).await?;
    let instance = instance.ok_or_else(Problem::not_found)?;
    let ticket = ide::make_ticket(&ide, &signed_in.session, &instance).await?;
    Ok((StatusCode::CREATED, Json(IdeTicket { url: ticket.url, expires_at: ticket.expires_at })))
}
