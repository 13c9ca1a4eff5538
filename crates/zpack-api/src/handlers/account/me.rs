//! `GET /api/me`.

use axum::Json;

use crate::{
    auth::{May, ReadAccount},
    view::MeView,
};

/// The caller's account.
#[utoipa::path(
    get, path = "/me", tag = "account", operation_id = "getAccount",
    responses((status = 200, body = MeView)),
    security(("session" = []), ("api_key" = ["account:read"]))
)]
pub async fn me(caller: May<ReadAccount>) -> Json<MeView> {
    Json(caller.customer.clone().into())
}
