//! Subscriptions: made, changed, renewed, paused, ended.

pub(super) mod cancel;
pub(super) mod create;
pub(super) mod items;
pub(super) mod pause;
pub(super) mod pending;
mod proration;
pub(super) mod renew;
pub(super) mod state;
pub(super) mod update;

use serde_json::Value;

use super::{
    api::Call,
    clocks,
    failure::Outcome,
    list,
    store::Books,
    value::{data, text},
};

const STATUSES: &[&str] = &[
    "active",
    "past_due",
    "unpaid",
    "canceled",
    "incomplete",
    "incomplete_expired",
    "trialing",
    "paused",
    "all",
    "ended",
];

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&list::with(&["customer", "status", "price", "test_clock", "collection_method"]))?;
    let status = params.one_of("status", STATUSES)?;
    let (customer, price, clock) = (params.text("customer"), params.text("price"), params.text("test_clock"));
    let is_wanted = |it: &&Value| {
        let is = text(it, "status");
        let in_status = match status {
            // Without a status: all that are not canceled.
            None => is != "canceled",
            Some("all") => true,
            Some("ended") => matches!(is, "canceled" | "incomplete_expired"),
            Some(wanted) => is == wanted,
        };
        in_status
            && customer.is_none_or(|id| text(it, "customer") == id)
            && price.is_none_or(|id| data(it, "items").iter().any(|item| text(&item["price"], "id") == id))
            && params.text("collection_method").is_none_or(|wanted| text(it, "collection_method") == wanted)
            && (customer.is_some() || clocks::is_listed(books, it, clock))
    };
    list::page(call, books.all("subscription").rev().filter(is_wanted))
}
