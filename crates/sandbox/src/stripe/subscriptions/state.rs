//! What the state of an invoice makes of its subscription.

use serde_json::Value;

use super::super::{
    checkout,
    store::Books,
    switches::AfterRetries,
    value::{int, text},
};
use super::{cancel, pending};

/// The subscription that an invoice is of.
pub(in super::super) fn subscription_of(invoice: &Value) -> &str {
    text(&invoice["parent"]["subscription_details"], "subscription")
}

struct Looked {
    subscription: String,
    status: String,
    is_latest: bool,
    is_pending: bool,
    in_trial: bool,
}

fn look(books: &Books, invoice: &str) -> Option<Looked> {
    let invoice = books.find(invoice)?;
    let subscription = books.find(subscription_of(invoice))?;
    Some(Looked {
        subscription: text(subscription, "id").to_owned(),
        status: text(subscription, "status").to_owned(),
        is_latest: text(subscription, "latest_invoice") == text(invoice, "id"),
        is_pending: invoice["_pending_update"] == true,
        in_trial: int(subscription, "trial_end") > books.now_of(subscription),
    })
}

/// Gives a subscription a status, and tells of it.
pub(in super::super) fn set_status(books: &mut Books, id: &str, status: &str) {
    books.update("customer.subscription.updated", id, |it| it["status"] = status.into());
}

/// An invoice is paid.
pub(in super::super) fn paid(books: &mut Books, invoice: &str) {
    let Some(looked) = look(books, invoice) else { return };
    if looked.is_pending {
        pending::apply(books, &looked.subscription);
    }
    if looked.is_latest && matches!(looked.status.as_str(), "incomplete" | "past_due" | "unpaid") {
        set_status(books, &looked.subscription, if looked.in_trial { "trialing" } else { "active" });
    }
    checkout::settled(books, invoice, true);
}

/// A bank is at work on an invoice's payment: until it says no, the subscription is served.
pub(in super::super) fn under_way(books: &mut Books, invoice: &str) {
    let Some(looked) = look(books, invoice) else { return };
    if looked.status == "incomplete" {
        set_status(books, &looked.subscription, "active");
    }
}

/// An attempt at a payment failed, and perhaps it was the last one.
pub(in super::super) fn unpaid(books: &mut Books, invoice: &str, is_last: bool) {
    let Some(looked) = look(books, invoice) else { return };
    checkout::settled(books, invoice, false);
    if looked.is_pending {
        return;
    }
    let id = &looked.subscription;
    if matches!(looked.status.as_str(), "active" | "trialing") {
        set_status(books, id, "past_due");
    }
    if is_last && matches!(looked.status.as_str(), "active" | "trialing" | "past_due") {
        match books.switches.after_retries {
            AfterRetries::Canceled => cancel::now(books, id, "payment_failed"),
            AfterRetries::Unpaid => set_status(books, id, "unpaid"),
            AfterRetries::PastDue => {}
        }
    }
}

/// An invoice ends without being paid.
pub(in super::super) fn given_up(books: &mut Books, invoice: &str, status: &str) {
    let Some(looked) = look(books, invoice) else { return };
    if looked.is_pending {
        pending::drop(books, &looked.subscription);
    } else if looked.is_latest {
        match (looked.status.as_str(), status) {
            ("past_due", _) => set_status(books, &looked.subscription, "active"),
            ("incomplete", "void") => set_status(books, &looked.subscription, "incomplete_expired"),
            _ => {}
        }
    }
}
