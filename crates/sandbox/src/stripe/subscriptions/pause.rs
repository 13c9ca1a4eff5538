//! Pauses: of collection, which leaves the status as it is, and of a subscription whose trial ended without a card.

use serde_json::{Value, json};

use super::super::{
    api::Call,
    failure::{Failure, Outcome},
    form::Params,
    store::Books,
    value::text,
};
use super::renew;

/// The API's `POST /v1/subscriptions/{id}/resume`.
pub(in super::super) fn resume(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&["billing_cycle_anchor", "proration_behavior", "proration_date"])?;
    let subscription = books.get("subscription", id)?;
    if text(&subscription, "status") != "paused" {
        let message = "Only subscriptions with the status `paused` can be resumed.";
        return Err(Failure::invalid("id", message));
    }
    let now = books.now_of(&subscription);
    books.set(id, |it| it["billing_cycle_anchor"] = now.into());
    renew::begin_anew(books, id, now);
    books.tell("customer.subscription.resumed", id);
    books.get("subscription", id)
}

/// What `pause_collection` is asked to be; the outer none if nothing is asked.
pub(super) fn wanted(params: &Params) -> Result<Option<Value>, Failure> {
    if params.is_unset("pause_collection") {
        return Ok(Some(Value::Null));
    }
    if params.at("pause_collection").is_none() {
        return Ok(None);
    }
    let known: &[&'static str] = &["keep_as_draft", "mark_uncollectible", "void"];
    let behavior = params.one_of("pause_collection.behavior", known)?;
    let behavior = behavior.ok_or_else(|| Failure::required("pause_collection[behavior]"))?;
    let resumes_at = params.int("pause_collection.resumes_at")?;
    Ok(Some(json!({ "behavior": behavior, "resumes_at": resumes_at })))
}

/// The pause of collection is over.
pub(in super::super) fn end(books: &mut Books, id: &str) {
    books.update("customer.subscription.updated", id, |it| it["pause_collection"] = Value::Null);
}
