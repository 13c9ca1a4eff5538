//! Changes of a subscription, and what one costs in the middle of a period.

use serde_json::{Value, json};

use super::super::{
    api::Call,
    failure::{Failure, Outcome},
    form::Params,
    invoices::{
        self,
        collect::{self, Tried, Who},
        make::{self, Wanted},
    },
    methods,
    store::Books,
    value::{array, data, int, merge_metadata, text},
};
use super::{cancel, items, pause, pending, proration};

const KNOWN: &[&str] = &[
    "items",
    "metadata",
    "description",
    "cancel_at_period_end",
    "cancel_at",
    "pause_collection",
    "trial_end",
    "default_payment_method",
    "proration_behavior",
    "proration_date",
    "payment_behavior",
    "off_session",
    "cancellation_details",
    "billing_cycle_anchor",
    "collection_method",
    "days_until_due",
    "payment_settings",
];

/// The API's `POST /v1/subscriptions/{id}`.
pub(in super::super) fn update(books: &mut Books, call: &Call, id: &str) -> Outcome {
    let params = &call.params;
    params.only(KNOWN)?;
    let subscription = books.get("subscription", id)?;
    if cancel::is_over(&subscription) && params.only(&["metadata", "cancellation_details"]).is_err() {
        let message = "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(Failure::invalid("id", message));
    }
    if params.text("billing_cycle_anchor").is_some_and(|it| it != "unchanged") {
        let message = "The sandbox leaves billing_cycle_anchor unchanged.";
        return Err(Failure::invalid("billing_cycle_anchor", message));
    }
    let prorates = params
        .one_of("proration_behavior", &["always_invoice", "create_prorations", "none"])?
        .unwrap_or("create_prorations");
    let pays = params
        .one_of(
            "payment_behavior",
            &["allow_incomplete", "pending_if_incomplete", "error_if_incomplete", "default_incomplete"],
        )?
        .unwrap_or("allow_incomplete");
    let changes = Changes::read(books, params, &subscription)?;
    let lines = if changes.items.is_some() && prorates != "none" && is_billed(&subscription) {
        let at = params.int("proration_date")?.unwrap_or_else(|| books.now_of(&subscription));
        let after = changes.items.as_deref().unwrap_or_default();
        proration::lines(books, data(&subscription, "items"), after, at)
    } else {
        Vec::new()
    };
    if lines.is_empty() || prorates == "create_prorations" {
        changes.make(books, id);
        books.set(id, |it| keep_lines(it, &lines));
        return books.get("subscription", id);
    }
    invoice_now(books, &subscription, changes, lines, pays)?;
    books.get("subscription", id)
}

/// Whether its periods are being paid for, so that a part of one is worth something.
fn is_billed(subscription: &Value) -> bool {
    matches!(text(subscription, "status"), "active" | "past_due" | "unpaid")
}

fn keep_lines(subscription: &mut Value, lines: &[Value]) {
    let kept = array(subscription, "_pending_lines").iter().chain(lines).cloned().collect();
    subscription["_pending_lines"] = Value::Array(kept);
}

/// Bills a change at once, and makes it now, later, or not at all, as the payment goes.
fn invoice_now(
    books: &mut Books,
    subscription: &Value,
    changes: Changes,
    lines: Vec<Value>,
    pays: &str,
) -> Result<(), Failure> {
    let id = text(subscription, "id");
    let total: i64 = lines.iter().map(|it| int(it, "amount")).sum();
    let customer = text(subscription, "customer");
    let balance = books.find(customer).map_or(0, |it| int(it, "balance"));
    let sends = text(subscription, "collection_method") == "send_invoice";
    let is_owed = total + balance > 0 && !sends;
    let tried = collect::foreseen(methods::paying(books, Some(subscription), customer), Who::Caller);
    if is_owed && pays == "error_if_incomplete" {
        invoices::refusal_of(tried)?;
    }
    let waits = is_owed && pays == "pending_if_incomplete" && tried != Tried::Paid;
    let items = changes.items.clone().unwrap_or_default();
    let also = json!({ "metadata": changes.metadata, "cancel_at_period_end": changes.ends });
    if !waits {
        changes.make(books, id);
    }
    let now = books.now_of(subscription);
    let wanted = Wanted {
        subscription: id.to_owned(),
        reason: "subscription_update",
        lines,
        period: (now, now),
        advances: false,
    };
    let invoice = make::draft(books, wanted);
    if waits {
        pending::put(books, id, &invoice, &items, &also);
    } else {
        books
            .update("customer.subscription.updated", id, |it| it["latest_invoice"] = invoice.as_str().into());
    }
    make::finalize(books, &invoice);
    if is_owed && pays != "default_incomplete" {
        collect::attempt(books, &invoice, None, Who::Caller);
    }
    Ok(())
}

/// What a call changes.
struct Changes {
    /// All items, as they will be.
    items: Option<Vec<Value>>,
    metadata: Option<Value>,
    description: Option<Value>,
    ends: Option<bool>,
    cancel_at: Option<Value>,
    pause: Option<Value>,
    trial_end: Option<i64>,
    method: Option<Value>,
    details: Option<Value>,
}

impl Changes {
    fn read(books: &mut Books, params: &Params, subscription: &Value) -> Result<Self, Failure> {
        let now = books.now_of(subscription);
        let items =
            if params.at("items").is_some() { Some(new_items(books, params, subscription)?) } else { None };
        let method = match params.text("default_payment_method") {
            Some(id) => Some(methods::of_customer(books, id, text(subscription, "customer"))?.into()),
            None if params.is_unset("default_payment_method") => Some(Value::Null),
            None => None,
        };
        let trial_end = match params.text("trial_end") {
            Some("now") => Some(now),
            Some(_) => params.int("trial_end")?,
            None => None,
        };
        if trial_end.is_some_and(|at| at < now) {
            let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
            return Err(Failure::invalid("trial_end", message));
        }
        let unset = |name: &str| params.is_unset(name).then_some(Value::Null);
        Ok(Self {
            items,
            metadata: params.at("metadata").cloned(),
            description: params.text("description").map(Into::into).or(unset("description")),
            ends: params.flag("cancel_at_period_end")?,
            cancel_at: params.int("cancel_at")?.map(Into::into).or(unset("cancel_at")),
            pause: pause::wanted(params)?,
            trial_end,
            method,
            details: params.at("cancellation_details").cloned(),
        })
    }

    fn make(self, books: &mut Books, id: &str) {
        let Some(subscription) = books.find(id).cloned() else { return };
        let now = books.now_of(&subscription);
        books.update("customer.subscription.updated", id, |it| self.apply(it, now));
    }

    fn apply(self, it: &mut Value, now: i64) {
        if let Some(items) = self.items {
            it["items"]["total_count"] = items.len().into();
            it["items"]["data"] = items.into();
        }
        merge_metadata(&mut it["metadata"], self.metadata.as_ref());
        if let Some(end) = self.trial_end {
            set_trial(it, end, now);
        }
        if let Some(ends) = self.ends
            && it["cancel_at_period_end"] != ends
        {
            cancel::mark_ending(it, now, ends);
        }
        if let Some(at) = self.cancel_at {
            it["canceled_at"] = if at.is_null() { Value::Null } else { now.into() };
            it["cancel_at"] = at;
        }
        for (key, value) in [
            ("description", self.description),
            ("pause_collection", self.pause),
            ("default_payment_method", self.method),
        ] {
            if let Some(value) = value {
                it[key] = value;
            }
        }
        for key in ["comment", "feedback"] {
            if let Some(value) = self.details.as_ref().and_then(|it| it.get(key)) {
                it["cancellation_details"][key] = value.clone();
            }
        }
    }
}

/// A trial that ends then: its end is the period's, and the anchor of those that follow.
fn set_trial(subscription: &mut Value, end: i64, now: i64) {
    if end > now {
        subscription["status"] = "trialing".into();
        if subscription["trial_start"].is_null() {
            subscription["trial_start"] = now.into();
        }
    }
    subscription["trial_end"] = end.into();
    subscription["billing_cycle_anchor"] = end.into();
    subscription["_told"] = Value::Null;
    if let Some(items) = subscription["items"]["data"].as_array_mut() {
        for item in items {
            item["current_period_end"] = end.into();
        }
    }
}

/// All items as a call wants them: some changed, some removed, some new.
fn new_items(books: &Books, params: &Params, subscription: &Value) -> Result<Vec<Value>, Failure> {
    let mut all = data(subscription, "items").to_vec();
    let period =
        all.first().map_or((0, 0), |it| (int(it, "current_period_start"), int(it, "current_period_end")));
    for place in 0..params.count("items") {
        let at = |key: &str| format!("items.{place}.{key}");
        let price_param = format!("items[{place}][price]");
        let price = match params.text(&at("price")) {
            Some(id) => Some(items::recurring(books, id, &price_param)?),
            None => None,
        };
        if price.as_ref().is_some_and(|it| it["currency"] != subscription["currency"]) {
            let message =
                "The price specified has another currency than the subscription, which cannot change.";
            return Err(Failure::invalid(&price_param, message));
        }
        let quantity = params.int(&at("quantity"))?;
        let Some(id) = params.text(&at("id")) else {
            let price = price.ok_or_else(|| Failure::required(&price_param))?;
            let new = items::Wanted {
                price,
                quantity: quantity.unwrap_or(1),
                metadata: params.object(&at("metadata")),
            };
            all.push(items::make(&new, text(subscription, "id"), books.now_of(subscription), period));
            continue;
        };
        let missing = || Failure::missing_in(&format!("items[{place}][id]"), "subscription item", id);
        let index = all.iter().position(|it| text(it, "id") == id).ok_or_else(missing)?;
        if params.flag(&at("deleted"))? == Some(true) {
            all.remove(index);
            continue;
        }
        if let Some(price) = price {
            items::set_price(&mut all[index], &price);
        }
        if let Some(quantity) = quantity {
            all[index]["quantity"] = quantity.into();
        }
        merge_metadata(&mut all[index]["metadata"], params.at(&at("metadata")));
    }
    if all.is_empty() {
        let message =
            "A subscription must have at least one active item. To cancel it, delete the subscription.";
        return Err(Failure::invalid("items", message));
    }
    Ok(all)
}
