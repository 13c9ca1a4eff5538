//! `GET /api/billing`.

use axum::{Json, extract::State};

use crate::{
    app::Selling,
    auth::{May, ReadAccount},
    problem::Problem,
    view::BillingView,
};

/// What was bought and granted, what is open, what is blocked because of it and until when. From our own rows: it does not wait
/// for Stripe.
#[utoipa::path(
    get, path = "/billing", tag = "billing", operation_id = "getBilling",
    responses((status = 200, body = BillingView)),
    security(("session" = []), ("api_key" = ["account:read"]))
)]
pub async fn get(
    State(Selling { db, billing, catalogue }): State<Selling>,
    caller: May<ReadAccount>,
) -> Result<Json<BillingView>, Problem> {
    let overview = store::billing::overview(&db, caller.customer.id).await?;
    Ok(Json(BillingView::new(overview, &catalogue, billing.is_live())))
}
