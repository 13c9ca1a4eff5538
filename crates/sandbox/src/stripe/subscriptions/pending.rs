//! Pending updates: a change that is made when its invoice is paid, and is gone if it is not.

use serde_json::{Value, json};

use super::super::{
    store::Books,
    time::HOUR,
    value::{merge_metadata, text},
};

/// How long a pending update waits.
const LASTS: i64 = 23 * HOUR;

/// Puts items, and what else was asked for, aside until the invoice is paid.
pub(super) fn put(books: &mut Books, id: &str, invoice: &str, items: &[Value], also: &Value) {
    let Some(now) = books.find(id).map(|it| books.now_of(it)) else { return };
    books.set(invoice, |it| {
        it["_pending_update"] = true.into();
        it["auto_advance"] = false.into();
    });
    books.update("customer.subscription.updated", id, |it| {
        it["latest_invoice"] = invoice.into();
        it["pending_update"] = json!({
            "billing_cycle_anchor": null, "cancel_at_period_end": also["cancel_at_period_end"], "discount": null,
            "discounts": null, "expires_at": now + LASTS, "metadata": also["metadata"], "subscription_items": items,
            "trial_end": null, "trial_from_plan": null,
        });
    });
}

/// The invoice is paid: the change is made.
pub(super) fn apply(books: &mut Books, id: &str) {
    let Some(pending) = books.find(id).map(|it| it["pending_update"].clone()).filter(Value::is_object) else {
        return;
    };
    books.update("customer.subscription.updated", id, |it| {
        it["items"]["data"] = pending["subscription_items"].clone();
        it["items"]["total_count"] = pending["subscription_items"].as_array().map_or(0, Vec::len).into();
        merge_metadata(&mut it["metadata"], Some(&pending["metadata"]));
        if pending["cancel_at_period_end"].is_boolean() {
            it["cancel_at_period_end"] = pending["cancel_at_period_end"].clone();
        }
        it["pending_update"] = Value::Null;
    });
    books.tell("customer.subscription.pending_update_applied", id);
}

/// The time is over: the change is forgotten, and its invoice is void.
pub(in super::super) fn expire(books: &mut Books, id: &str) {
    let latest = books.find(id).map(|it| text(it, "latest_invoice").to_owned()).unwrap_or_default();
    if books.find(&latest).is_some_and(|it| text(it, "status") == "open" && it["_pending_update"] == true) {
        super::super::invoices::collect::give_up(books, &latest, "void");
    }
    drop(books, id);
}

/// Forgets the change.
pub(super) fn drop(books: &mut Books, id: &str) {
    if !books.find(id).is_some_and(|it| it["pending_update"].is_object()) {
        return;
    }
    books.update("customer.subscription.updated", id, |it| it["pending_update"] = Value::Null);
    books.tell("customer.subscription.pending_update_expired", id);
}
