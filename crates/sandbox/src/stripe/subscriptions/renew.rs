//! Ends of periods: the next one begins, and its invoice is a draft for an hour.

use serde_json::Value;

use super::super::{
    invoices::{
        collect,
        make::{self, Wanted},
    },
    methods,
    store::Books,
    time,
    value::{array, data, int, text},
};
use super::{cancel, state::set_status};

/// When the period ends.
pub(in super::super) fn period_end(subscription: &Value) -> Option<i64> {
    data(subscription, "items").iter().map(|it| int(it, "current_period_end")).min()
}

/// A period, or a trial, has ended.
pub(in super::super) fn renew(books: &mut Books, id: &str) {
    let Some(subscription) = books.find(id).cloned() else { return };
    let was_trial = text(&subscription, "status") == "trialing";
    if was_trial && methods::paying(books, Some(&subscription), text(&subscription, "customer")).is_none() {
        match text(&subscription["trial_settings"]["end_behavior"], "missing_payment_method") {
            "cancel" => return cancel::now(books, id, "cancellation_requested"),
            "pause" => {
                set_status(books, id, "paused");
                return books.tell("customer.subscription.paused", id);
            }
            _ => {}
        }
    }
    let at = period_end(&subscription).unwrap_or_default();
    begin_anew(books, id, at);
}

/// The next period begins at `at`.
pub(super) fn begin_anew(books: &mut Books, id: &str, at: i64) {
    let Some(before) = books.find(id).cloned() else { return };
    let anchor = int(&before, "billing_cycle_anchor");
    let ended = data(&before, "items").first().map_or(at, |it| int(it, "current_period_start"));
    books.set(id, |it| {
        if let Some(items) = it["items"]["data"].as_array_mut() {
            for item in items {
                next_period(item, anchor, at);
            }
        }
        if matches!(text(it, "status"), "trialing" | "paused") {
            it["status"] = "active".into();
        }
    });
    let invoice = invoice(books, id, (ended, at));
    books.set(id, |it| {
        it["latest_invoice"] = invoice.as_str().into();
        it["_pending_lines"] = Value::Null;
    });
    let after = books.find(id).cloned().unwrap_or_default();
    if let Some(previous) = super::super::value::changed(&before, &after) {
        books.emit("customer.subscription.updated", &after, Some(previous));
    }
    match text(&after["pause_collection"], "behavior") {
        "void" => give_up(books, &invoice, "void"),
        "mark_uncollectible" => give_up(books, &invoice, "uncollectible"),
        _ => {}
    }
}

fn next_period(item: &mut Value, anchor: i64, at: i64) {
    let recurring = &item["price"]["recurring"];
    let count = u32::try_from(int(recurring, "interval_count")).unwrap_or(1);
    let end = time::period_end(anchor, at, text(recurring, "interval"), count);
    item["current_period_start"] = at.into();
    item["current_period_end"] = end.into();
}

fn invoice(books: &mut Books, id: &str, period: (i64, i64)) -> String {
    let subscription = books.find(id).cloned().unwrap_or_default();
    let mut lines = make::period_lines(books, &subscription, false);
    lines.extend(array(&subscription, "_pending_lines").iter().cloned());
    // Nobody collects for one that was given up, or is paused.
    let advances = text(&subscription, "status") != "unpaid" && subscription["pause_collection"].is_null();
    let wanted =
        Wanted { subscription: id.to_owned(), reason: "subscription_cycle", lines, period, advances };
    make::draft(books, wanted)
}

fn give_up(books: &mut Books, invoice: &str, status: &str) {
    make::finalize(books, invoice);
    if books.find(invoice).is_some_and(|it| text(it, "status") == "open") {
        collect::give_up(books, invoice, status);
    }
}
