//! What a test says to Stripe behind its API: switches, deliveries, disputes.

use axum::{
    Json, Router,
    extract::{Form, Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Stripe,
    delivery::Delivery,
    disputes,
    failure::{Failure, Outcome},
    invoices::collect,
    panel,
    switches::Switches,
    value::{shown, text},
};

pub(super) fn router() -> Router<Stripe> {
    Router::new()
        .route("/_switches", get(switches).post(switch))
        .route("/_deliveries", get(deliveries))
        .route("/_redeliver/{event}", post(redeliver))
        .route("/_disputes/{charge}", post(dispute))
        .route("/_disputes/{dispute}/close", post(close))
        .route("/_debits/{invoice}", post(debit))
        .route("/_panel/{customer}", post(act))
}

async fn switches(State(stripe): State<Stripe>) -> Json<Switches> {
    Json(stripe.lock().switches.clone())
}

/// Changes the switches that the body names.
async fn switch(State(stripe): State<Stripe>, Json(changes): Json<Value>) -> Response {
    let outcome = {
        let mut books = stripe.lock();
        let mut all = json!(books.switches);
        if let (Some(all), Some(changes)) = (all.as_object_mut(), changes.as_object()) {
            all.extend(changes.clone());
        }
        serde_json::from_value::<Switches>(all).inspect(|it| {
            books.switches = it.clone();
            books.is_dirty = true;
        })
    };
    stripe.wake();
    match outcome {
        Ok(now) => {
            tracing::info!(%changes, "Stripe's switches are changed");
            Json(now).into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response(),
    }
}

async fn deliveries(State(stripe): State<Stripe>) -> Json<Vec<Delivery>> {
    Json(stripe.lock().deliveries.iter().cloned().collect())
}

async fn redeliver(State(stripe): State<Stripe>, Path(event): Path<String>) -> Response {
    let count = stripe.lock().redeliver(&event);
    stripe.wake();
    match count {
        Some(count) => Json(json!({ "deliveries": count })).into_response(),
        None => (StatusCode::NOT_FOUND, format!("there is no event {event}\n")).into_response(),
    }
}

fn answer(stripe: &Stripe, outcome: Outcome) -> Response {
    stripe.wake();
    match outcome {
        Ok(object) => Json(shown(&object)).into_response(),
        Err(Failure { status, error, .. }) => (status, Json(json!({ "error": error }))).into_response(),
    }
}

/// The customer's bank takes a charge back.
async fn dispute(State(stripe): State<Stripe>, Path(charge): Path<String>) -> Response {
    let opened = disputes::open(&mut stripe.lock(), &charge);
    answer(&stripe, opened)
}

#[derive(Deserialize)]
struct Close {
    won: bool,
}

async fn close(
    State(stripe): State<Stripe>,
    Path(id): Path<String>,
    Json(Close { won }): Json<Close>,
) -> Response {
    let closed = disputes::close(&mut stripe.lock(), &id, if won { "won" } else { "lost" });
    answer(&stripe, closed)
}

#[derive(Deserialize)]
struct Debit {
    succeeds: bool,
}

/// A direct debit that is under way comes, or comes back, now.
async fn debit(
    State(stripe): State<Stripe>,
    Path(id): Path<String>,
    Json(Debit { succeeds }): Json<Debit>,
) -> Response {
    let settled = {
        let mut books = stripe.lock();
        books.get("invoice", &id).and_then(|invoice| {
            if !invoice["_settles_at"].is_i64() {
                return Err(Failure::invalid("invoice", "No direct debit of this invoice is under way."));
            }
            books.set(&id, |it| it["_fails"] = (!succeeds).into());
            collect::settle(&mut books, &id);
            books.get("invoice", &id)
        })
    };
    answer(&stripe, settled)
}

#[derive(Deserialize)]
struct Act {
    #[serde(rename = "do")]
    what: String,
}

/// A button of the sandbox's page.
async fn act(
    State(stripe): State<Stripe>,
    Path(customer): Path<String>,
    Form(Act { what }): Form<Act>,
) -> Response {
    let done = panel::act(&mut stripe.lock(), &customer, &what);
    stripe.wake();
    match done {
        Ok(()) => Redirect::to("/").into_response(),
        Err(failure) => {
            let message = text(&Value::Object(failure.error), "message").to_owned();
            (failure.status, format!("{message}\n")).into_response()
        }
    }
}
