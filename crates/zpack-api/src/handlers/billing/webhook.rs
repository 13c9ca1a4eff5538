//! `POST /webhooks/stripe`: an event is checked, kept with the task to process it, and acknowledged. What it means is for
//! billing-worker, which takes it as a hint and asks Stripe.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State, http::HeaderMap};
use domain::{clock::Clock, text::foreign};
use integrations::stripe::{Refusal, event, verify};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::{
    Db,
    billing::{Intake, NewEvent, accept},
};

use crate::{
    billing::Billing,
    config::BillingSection,
    problem::{Code, Problem},
};

/// Longest body, in bytes: an event has the whole of its object, and an invoice can have many lines.
pub const MAX_BODY: usize = 1024 * 1024;

/// Who it is that keeps events.
const BY: &str = "stripe";

/// Takes an event. Whatever is well signed is answered with 200, whether we understand it or not: Stripe would send it for days and
/// then no more events at all.
pub async fn receive(
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    State(billing): State<Arc<Billing>>,
    State(settings): State<BillingSection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    if settings.webhook_secret.expose_secret().is_empty() {
        return Err(Problem::new(
            Code::NotFound,
            "No billing.webhook_secret is set, so no events are taken.",
        ));
    }
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secrets = [&settings.webhook_secret, &settings.previous_webhook_secret];
    verify(header, &body, &secrets, clock.now()).map_err(|refusal| refused(refusal, &body))?;
    let received = json!({ "received": true });
    let Ok(payload) = serde_json::from_slice::<Value>(&body) else {
        tracing::error!(
            bytes = body.len(),
            "a well-signed event is not JSON and was not kept; what it was about is found by the next backfill"
        );
        count("unreadable");
        return Ok(Json(received));
    };
    let Some(it) = event(&payload) else {
        tracing::error!(
            bytes = body.len(),
            "a well-signed event has no id and was not kept; what it was about is found by the next backfill"
        );
        count("unreadable");
        return Ok(Json(received));
    };
    // A text that PostgreSQL cannot keep would be sent again for ever.
    let payload = storable(payload);
    let new = NewEvent {
        id: &it.id,
        kind: &it.kind,
        api_version: it.api_version.as_deref(),
        livemode: it.livemode,
        stripe_customer: it.customer.as_deref(),
        object_id: it.object_id.as_deref(),
        payload: &payload,
        created_at: it.created_at,
        source: "webhook",
        ignored: it.of_another_account || billing.is_live().is_some_and(|live| live != it.livemode),
    };
    let (id, kind) = (&it.id, foreign(&it.kind));
    match accept(&db, &new, BY).await? {
        Intake::Known => {
            count("known");
            tracing::debug!(event = %id, "event {id} ({kind}) came again");
        }
        Intake::Ignored => {
            count("ignored");
            tracing::warn!(event = %id, livemode = it.livemode, "event {id} ({kind}) is of another account or mode than our key and changes nothing; look at the webhook endpoints at Stripe");
        }
        Intake::New(dispatch) => {
            billing.notify(dispatch);
            count("new");
            tracing::info!(event = %id, "event {id} ({kind}) is kept");
        }
    }
    Ok(Json(received))
}

fn count(outcome: &'static str) {
    metrics::counter!("zlh_stripe_webhooks_total", "outcome" => outcome).increment(1);
}

/// Without the one character that is valid in JSON and not in a column.
fn storable(payload: Value) -> Value {
    match payload {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "")),
        Value::Array(all) => all.into_iter().map(storable).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(key, value)| (key.replace('\0', ""), storable(value))).collect()
        }
        other => other,
    }
}

/// The answer, and a line of the log that says what to look at. Neither has the body, the signature or the secret in it.
fn refused(refusal: Refusal, body: &[u8]) -> Problem {
    let bytes = body.len();
    let code = match refusal {
        Refusal::Missing => Code::SignatureMissing,
        Refusal::Mismatch => Code::SignatureMismatch,
        Refusal::OutOfTime { .. } => Code::SignatureOutOfTime,
    };
    count(code.as_str());
    match refusal {
        Refusal::Missing => {
            tracing::warn!(
                bytes,
                "a webhook without a signature was refused; it is not from Stripe, or a proxy drops Stripe-Signature"
            );
        }
        Refusal::Mismatch => {
            // Stripe indents what it sends.
            let hint = if body.trim_ascii().contains(&b'\n') {
                "it came as Stripe writes it, so billing.webhook_secret may be another endpoint's"
            } else {
                "it is one line, and Stripe writes many: a proxy before this API seems to write the JSON anew"
            };
            tracing::warn!(
                bytes,
                "a webhook of {bytes} bytes was refused: its signature is not of this body; {hint}"
            );
        }
        Refusal::OutOfTime { behind_seconds } => {
            metrics::gauge!("zlh_stripe_webhook_clock_difference_seconds")
                .set(f64::from(i32::try_from(behind_seconds).unwrap_or(i32::MAX)));
            tracing::warn!(
                behind_seconds,
                "a webhook was refused: it was signed {behind_seconds} s ago by our clock; it is a replay, or this machine's clock is wrong"
            );
        }
    }
    Problem::new(code, format!("Nothing was kept: {refusal}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_cannot_keep_is_left_out() {
        let payload = json!({ "id": "evt_1", "data": { "a\0b": ["x\0y", 1] } });
        assert_eq!(storable(payload), json!({ "id": "evt_1", "data": { "ab": ["xy", 1] } }));
    }
}
