//! New subscriptions, and the invoice that a new one begins with.

use serde_json::{Value, json};

use super::super::{
    api::Call,
    failure::{Failure, Outcome},
    ids,
    invoices::{
        self,
        collect::{self, Who},
        make::{self as invoice, Wanted as WantedInvoice},
    },
    list::counted,
    methods,
    store::Books,
    time::{self, DAY},
    value::{int, merge_metadata, text},
};
use super::items::{self, Wanted};

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub(in super::super) struct New {
    pub(in super::super) customer: String,
    pub(in super::super) items: Vec<Wanted>,
    pub(in super::super) metadata: Value,
    pub(in super::super) description: Option<String>,
    pub(in super::super) method: Option<String>,
    pub(in super::super) trial_end: Option<i64>,
    /// What a trial's end does without a payment method.
    pub(in super::super) without_method: String,
    /// Days in which a sent invoice is to be paid; none if payments are collected.
    pub(in super::super) days_until_due: Option<i64>,
}

/// The API's `POST /v1/subscriptions`.
pub(in super::super) fn create(books: &mut Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&[
        "customer",
        "items",
        "metadata",
        "description",
        "default_payment_method",
        "payment_behavior",
        "trial_end",
        "trial_period_days",
        "trial_settings",
        "collection_method",
        "days_until_due",
        "off_session",
        "payment_settings",
        "cancel_at_period_end",
        "currency",
    ])?;
    let behavior = params
        .one_of("payment_behavior", &["default_incomplete", "allow_incomplete", "error_if_incomplete"])?
        .unwrap_or("allow_incomplete");
    let customer = books.get_for("customer", "customer", params.required("customer")?)?;
    let customer_id = text(&customer, "id").to_owned();
    let items = items::wanted(books, params, "items")?;
    let method = match params.text("default_payment_method") {
        Some(id) => Some(methods::of_customer(books, id, &customer_id)?),
        None => None,
    };
    let sends = params.one_of("collection_method", &["charge_automatically", "send_invoice"])?
        == Some("send_invoice");
    let new = New {
        trial_end: trial_end(call, "", books.now_of(&customer))?,
        customer: customer_id.clone(),
        items,
        metadata: params.object("metadata"),
        description: params.text("description").map(str::to_owned),
        without_method: missing_method(call, "")?,
        days_until_due: if sends { Some(params.int("days_until_due")?.unwrap_or(30)) } else { None },
        method,
    };
    let owed = new.trial_end.is_none() && !sends && price_of(&new) > 0;
    if owed && behavior != "default_incomplete" {
        let probe = json!({ "default_payment_method": new.method });
        let tried = collect::foreseen(methods::paying(books, Some(&probe), &customer_id), Who::Caller);
        let is_missing = tried == collect::Tried::NoMethod;
        if is_missing || behavior == "error_if_incomplete" {
            invoices::refusal_of(tried)?;
        }
    }
    let id = make(books, &new);
    if params.flag("cancel_at_period_end")? == Some(true) {
        super::cancel::at_period_end(books, &id, true);
    }
    if !sends {
        let first = first_invoice(books, &id);
        if owed && behavior != "default_incomplete" {
            collect::attempt(books, &first, None, Who::Caller);
        }
    }
    books.get("subscription", &id)
}

fn price_of(new: &New) -> i64 {
    new.items.iter().map(|it| int(&it.price, "unit_amount") * it.quantity).sum()
}

/// When a trial that is asked for ends.
pub(in super::super) fn trial_end(call: &Call, prefix: &str, now: i64) -> Result<Option<i64>, Failure> {
    let at = format!("{prefix}trial_end");
    if call.params.text(&at) == Some("now") {
        return Ok(None);
    }
    let days = call.params.int(&format!("{prefix}trial_period_days"))?;
    match (call.params.int(&at)?, days) {
        (Some(end), _) if end <= now => Err(Failure::invalid(
            "trial_end",
            "Invalid timestamp: must be an integer Unix timestamp in the future.",
        )),
        (Some(end), _) => Ok(Some(end)),
        (None, Some(days)) if days > 0 => Ok(Some(now + days * DAY)),
        _ => Ok(None),
    }
}

/// What is to become of the subscription at the end of a trial without a payment method.
pub(in super::super) fn missing_method(call: &Call, prefix: &str) -> Result<String, Failure> {
    let known: &[&'static str] = &["cancel", "create_invoice", "pause"];
    let at = format!("{prefix}trial_settings.end_behavior.missing_payment_method");
    Ok(call.params.one_of(&at, known)?.unwrap_or("create_invoice").to_owned())
}

/// Makes a subscription with a draft of its first invoice, and tells of both.
pub(in super::super) fn make(books: &mut Books, new: &New) -> String {
    let customer = books.find(&new.customer).cloned().unwrap_or_default();
    let now = books.now_of(&customer);
    let id = ids::new("sub");
    let recurring = new.items.first().map(|it| it.price["recurring"].clone()).unwrap_or_default();
    let count = u32::try_from(int(&recurring, "interval_count")).unwrap_or(1);
    let anchor = new.trial_end.unwrap_or(now);
    let end =
        new.trial_end.unwrap_or_else(|| time::period_end(now, now, text(&recurring, "interval"), count));
    let items: Vec<Value> = new.items.iter().map(|it| items::make(it, &id, now, (now, end))).collect();
    let status = match (new.trial_end, new.days_until_due) {
        (Some(_), _) => "trialing",
        (None, Some(_)) => "active",
        (None, None) => "incomplete",
    };
    let mut subscription = blank(&id, &customer, now);
    let fields = json!({
        "billing_cycle_anchor": anchor, "currency": new.items.first().map(|it| it.price["currency"].clone()),
        "days_until_due": new.days_until_due, "default_payment_method": new.method, "description": new.description,
        "collection_method": if new.days_until_due.is_some() { "send_invoice" } else { "charge_automatically" },
        "items": counted(&format!("/v1/subscription_items?subscription={id}"), &items), "status": status,
        "trial_end": new.trial_end, "trial_start": new.trial_end.map(|_| now),
        "trial_settings": { "end_behavior": {
            "billing_cycle_anchor": null, "missing_payment_method": new.without_method,
        } },
    });
    if let (Some(subscription), Value::Object(fields)) = (subscription.as_object_mut(), fields) {
        subscription.extend(fields);
    }
    merge_metadata(&mut subscription["metadata"], Some(&new.metadata));
    books.insert(subscription);
    let subscription = books.find(&id).cloned().unwrap_or_default();
    let lines = invoice::period_lines(books, &subscription, new.trial_end.is_some());
    let first = invoice::draft(
        books,
        WantedInvoice {
            subscription: id.clone(),
            reason: "subscription_create",
            lines,
            period: (now, now),
            advances: new.days_until_due.is_some(),
        },
    );
    books.set(&id, |it| it["latest_invoice"] = first.into());
    books.tell("customer.subscription.created", &id);
    let currency = books.find(&id).map(|it| it["currency"].clone()).unwrap_or_default();
    books.update("customer.updated", &new.customer, |it| {
        if it["currency"].is_null() {
            it["currency"] = currency;
        }
    });
    id
}

/// Makes the first invoice final at once; gives its id.
pub(in super::super) fn first_invoice(books: &mut Books, subscription: &str) -> String {
    let first = books.find(subscription).map(|it| text(it, "latest_invoice").to_owned()).unwrap_or_default();
    invoice::finalize(books, &first);
    first
}

fn blank(id: &str, customer: &Value, now: i64) -> Value {
    json!({
        "id": id, "object": "subscription", "application": null, "application_fee_percent": null,
        "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null },
        "billing_cycle_anchor_config": null,
        "billing_mode": { "flexible": { "proration_discounts": "included" }, "type": "flexible" },
        "billing_schedules": [], "billing_thresholds": null, "cancel_at": null, "cancel_at_period_end": false,
        "canceled_at": null,
        "cancellation_details": { "comment": null, "feedback": null, "feedback_option": null, "reason": null },
        "created": now, "customer": customer["id"], "customer_account": null, "default_source": null,
        "default_tax_rates": [], "discounts": [], "ended_at": null,
        "invoice_settings": { "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
                              "issuer": { "type": "self" } },
        "latest_invoice": null, "livemode": false, "managed_payments": null, "metadata": {},
        "next_pending_invoice_item_invoice": null, "on_behalf_of": null, "pause_collection": null,
        "payment_settings": {
            "payment_method_options": null, "payment_method_types": null, "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": null, "pending_setup_intent": null, "pending_update": null,
        "schedule": null, "start_date": now, "test_clock": customer["test_clock"], "transfer_data": null,
    })
}
