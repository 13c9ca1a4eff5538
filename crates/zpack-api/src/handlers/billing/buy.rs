//! `POST /api/billing/checkout` and `POST /api/billing/portal`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, Json, extract::State, http::StatusCode};
use domain::clock::Clock;
use garde::Validate;
use serde::{Deserialize, Serialize};
use store::audit::By;
use utoipa::ToSchema;

use crate::{
    app::Selling,
    auth::SignedIn,
    billing::{MAX_SERVERS, Wanted},
    extract::ValidJson,
    problem::{Code, Problem},
    request_id::RequestId,
    view::CheckoutView,
};

/// What is to be bought.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckOut {
    /// So many servers of each plan; 1 to 100 in all.
    #[garde(length(min = 1, max = 20), dive)]
    #[schema(min_items = 1, max_items = 20)]
    items: Vec<WantedItem>,
    /// ISO 4217 code; the usual one if missing.
    #[serde(default)]
    #[garde(inner(length(bytes, min = 3, max = 3), ascii))]
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
}

/// So many servers of a plan.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedItem {
    /// Plan id.
    #[garde(length(min = 1, max = 40))]
    plan: String,
    /// How many.
    #[garde(range(min = 1, max = MAX_SERVERS))]
    #[schema(minimum = 1, maximum = 100)]
    quantity: i32,
}

/// Begins to buy: room for the servers is kept while it can be paid, at the address in the answer. Asked for again, the same
/// purchase is answered with; one of something else takes its place.
#[utoipa::path(
    post, path = "/billing/checkout", tag = "billing", operation_id = "checkOut",
    request_body = CheckOut,
    responses((status = 201, body = CheckoutView)),
    security(("session" = []))
)]
pub async fn check_out(
    State(Selling { db, billing, catalogue }): State<Selling>,
    State(clock): State<Arc<dyn Clock>>,
    signed_in: SignedIn,
    Extension(request_id): Extension<RequestId>,
    ValidJson(body): ValidJson<CheckOut>,
) -> Result<(StatusCode, Json<CheckoutView>), Problem> {
    let mut items = BTreeMap::<String, i32>::new();
    for item in &body.items {
        *items.entry(item.plan.clone()).or_default() += item.quantity;
    }
    if items.values().sum::<i32>() > MAX_SERVERS {
        let why = format!("at most {MAX_SERVERS} servers at once");
        return Err(Problem::new(Code::ValidationFailed, "Nothing was bought.").field("items", why));
    }
    let actor = store::audit::customer(signed_in.customer.id);
    let wanted = Wanted {
        customer: &signed_in.customer,
        items,
        currency: body.currency.map(|currency| currency.to_lowercase()),
        by: By { actor: &actor, request_id: Some(&request_id.0) },
    };
    let checkout = billing.check_out(&db, &catalogue, &wanted, clock.now()).await?;
    Ok((StatusCode::CREATED, Json(checkout.into())))
}

/// Where cards, invoices and the subscription are managed.
#[derive(Serialize, ToSchema)]
#[schema(as = BillingPortal)]
pub struct PortalView {
    /// To be opened at once: it is worth nothing a few minutes later.
    url: String,
}

/// Opens Stripe's page on which a customer changes cards, sees invoices and cancels.
#[utoipa::path(
    post, path = "/billing/portal", tag = "billing", operation_id = "openBillingPortal",
    responses((status = 201, body = PortalView)),
    security(("session" = []))
)]
pub async fn open_portal(
    State(Selling { db, billing, .. }): State<Selling>,
    signed_in: SignedIn,
) -> Result<(StatusCode, Json<PortalView>), Problem> {
    let url = billing.portal(&db, signed_in.customer.id).await?;
    Ok((StatusCode::CREATED, Json(PortalView { url })))
}
