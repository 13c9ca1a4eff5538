//! The page of a checkout session.

use axum::{
    extract::{Form, Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use serde_json::Value;

use super::{
    super::{
        Stripe,
        checkout::{self, How},
        methods,
        value::{array, int, text},
    },
    Pressed, buttons, not_found, page, rows,
};

const BUTTONS: &[(&str, &str)] = &[
    ("pay", "Pay"),
    ("decline", "Decline"),
    ("debit", "Pay by direct debit"),
    ("confirm", "Needs confirmation"),
    ("cancel", "Cancel"),
];

fn find(stripe: &Stripe, id: &str) -> Option<Value> {
    stripe.lock().find(id).filter(|it| text(it, "object") == "checkout.session").cloned()
}

pub(super) async fn show(State(stripe): State<Stripe>, Path(id): Path<String>) -> Response {
    match find(&stripe, &id) {
        Some(session) => form(&session, ""),
        None => not_found("checkout"),
    }
}

fn form(session: &Value, notice: &str) -> Response {
    let state = text(session, "status");
    if state != "open" {
        let body = format!("<p>This checkout is over: {state}.</p>");
        return (StatusCode::GONE, page("Checkout", &body)).into_response();
    }
    let items: Vec<(String, i64)> = array(session, "_line_items")
        .iter()
        .map(|it| (format!("{} × {}", int(it, "quantity"), text(it, "description")), int(it, "amount_total")))
        .collect();
    let table = rows(&items, int(session, "amount_total"), text(session, "currency"));
    page("Checkout", &format!("{notice}{table}{}", buttons(BUTTONS))).into_response()
}

pub(super) async fn act(
    State(stripe): State<Stripe>,
    Path(id): Path<String>,
    Form(pressed): Form<Pressed>,
) -> Response {
    let Some(session) = find(&stripe, &id) else { return not_found("checkout") };
    let how = match pressed.what.as_str() {
        "pay" => How::Card,
        "debit" => How::Debit,
        "confirmed" => How::Confirmed,
        "confirm" if text(&session, "status") == "open" => {
            let body = "<p>Your bank wants to know whether this is you.</p>".to_owned()
                + &buttons(&[("confirmed", "Confirm"), ("decline", "Refuse")]);
            return page("Confirm the payment", &body).into_response();
        }
        "cancel" => return back(&session, text(&session, "cancel_url")),
        _ => {
            let (_, sentence) = methods::sentence("generic_decline");
            return form(
                &session,
                &format!("<p role=\"alert\">{sentence} Nothing was bought; you can try again.</p>"),
            );
        }
    };
    let bought = checkout::complete(&mut stripe.lock(), &id, how);
    stripe.wake();
    if bought { back(&session, text(&session, "success_url")) } else { form(&session, "") }
}

fn back(session: &Value, to: &str) -> Response {
    if to.is_empty() {
        return page("Checkout", "<p>You can close this page.</p>").into_response();
    }
    Redirect::to(&to.replace("{CHECKOUT_SESSION_ID}", text(session, "id"))).into_response()
}
