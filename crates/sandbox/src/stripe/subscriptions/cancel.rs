//! Ends of subscriptions.

use serde_json::Value;

use super::super::{
    api::Call,
    failure::{Failure, Outcome},
    store::Books,
    value::{data, int, text},
};
use super::state::set_status;

/// Whether a subscription has ended.
pub(in super::super) fn is_over(subscription: &Value) -> bool {
    matches!(text(subscription, "status"), "canceled" | "incomplete_expired")
}

/// The API's `DELETE /v1/subscriptions/{id}`.
pub(in super::super) fn delete(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&["cancellation_details", "invoice_now", "prorate"])?;
    let subscription = books.get("subscription", id)?;
    if is_over(&subscription) {
        return Err(Failure::missing("subscription", id));
    }
    for key in ["comment", "feedback"] {
        if let Some(value) = call.params.text(&format!("cancellation_details.{key}")) {
            books.set(id, |it| it["cancellation_details"][key] = value.into());
        }
    }
    now(books, id, "cancellation_requested");
    books.get("subscription", id)
}

/// Ends one at once. What is open stays open, and is not collected any more.
pub(in super::super) fn now(books: &mut Books, id: &str, reason: &str) {
    let Some(subscription) = books.find(id).filter(|it| !is_over(it)).cloned() else { return };
    let at = books.now_of(&subscription);
    books.set(id, |it| {
        it["status"] = "canceled".into();
        it["ended_at"] = at.into();
        if it["canceled_at"].is_null() {
            it["canceled_at"] = at.into();
        }
        it["cancellation_details"]["reason"] = reason.into();
        it["pause_collection"] = Value::Null;
        it["pending_update"] = Value::Null;
        it["_pending_lines"] = Value::Null;
    });
    let of_it = |it: &&Value| {
        super::state::subscription_of(it) == id && matches!(text(it, "status"), "draft" | "open")
    };
    let left: Vec<String> = books.all("invoice").filter(of_it).map(|it| text(it, "id").to_owned()).collect();
    for invoice in left {
        books.update("invoice.updated", &invoice, |it| {
            it["auto_advance"] = false.into();
            it["automatically_finalizes_at"] = Value::Null;
            it["next_payment_attempt"] = Value::Null;
        });
    }
    books.tell("customer.subscription.deleted", id);
}

/// Has one end with its period, or go on.
pub(in super::super) fn at_period_end(books: &mut Books, id: &str, ends: bool) {
    let Some(subscription) = books.find(id).cloned() else { return };
    let at = books.now_of(&subscription);
    books.update("customer.subscription.updated", id, |it| mark_ending(it, at, ends));
}

/// The fields of one that ends with its period, or goes on.
pub(super) fn mark_ending(subscription: &mut Value, at: i64, ends: bool) {
    let end = data(subscription, "items").iter().map(|it| int(it, "current_period_end")).min();
    subscription["cancel_at_period_end"] = ends.into();
    subscription["cancel_at"] = if ends { end.into() } else { Value::Null };
    subscription["canceled_at"] = if ends { at.into() } else { Value::Null };
    subscription["cancellation_details"]["reason"] =
        if ends { "cancellation_requested".into() } else { Value::Null };
}

/// Ends all of a customer.
pub(in super::super) fn all_of(books: &mut Books, customer: &str) {
    let is_open = |it: &&Value| text(it, "customer") == customer && !is_over(it);
    let open: Vec<String> =
        books.all("subscription").filter(is_open).map(|it| text(it, "id").to_owned()).collect();
    for id in open {
        now(books, &id, "cancellation_requested");
    }
}

/// Nobody paid the first invoice: the subscription never was.
pub(in super::super) fn expire(books: &mut Books, id: &str) {
    let first = books.find(id).map(|it| text(it, "latest_invoice").to_owned()).unwrap_or_default();
    set_status(books, id, "incomplete_expired");
    let at = books.find(id).map(|it| books.now_of(it));
    books.set(id, |it| it["ended_at"] = at.into());
    if books.find(&first).is_some_and(|it| text(it, "status") == "open") {
        super::super::invoices::collect::give_up(books, &first, "void");
    }
}
