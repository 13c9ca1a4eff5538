//! Drafts of invoices, their lines, and what becomes final.

use serde_json::{Value, json};

use super::super::{
    ids,
    list::counted,
    payments,
    store::Books,
    time::{DAY, HOUR},
    value::{array, data, int, text},
};
use super::collect;

/// What an invoice is made of.
pub(in super::super) struct Wanted {
    pub(in super::super) subscription: String,
    /// Stripe's `billing_reason`.
    pub(in super::super) reason: &'static str,
    pub(in super::super) lines: Vec<Value>,
    /// The period that ends with it.
    pub(in super::super) period: (i64, i64),
    /// Whether it becomes final by itself, an hour later.
    pub(in super::super) advances: bool,
}

/// Makes a draft; gives its id.
pub(in super::super) fn draft(books: &mut Books, wanted: Wanted) -> String {
    let subscription = books.find(&wanted.subscription).cloned().unwrap_or_default();
    let customer = books.find(text(&subscription, "customer")).cloned().unwrap_or_default();
    let id = ids::new("in");
    let now = books.now_of(&subscription);
    let (start, end) = wanted.period;
    let total: i64 = wanted.lines.iter().map(|it| int(it, "amount")).sum();
    let lines: Vec<Value> = wanted
        .lines
        .into_iter()
        .map(|mut line| {
            line["invoice"] = id.as_str().into();
            line
        })
        .collect();
    let due = total.max(0);
    let mut invoice = blank(&id, &subscription, &customer);
    let fields = json!({
        "amount_due": due, "amount_remaining": due, "auto_advance": wanted.advances,
        "automatically_finalizes_at": wanted.advances.then_some(now + HOUR), "billing_reason": wanted.reason,
        "created": now, "lines": counted(&format!("/v1/invoices/{id}/lines"), &lines), "period_end": end,
        "period_start": start, "subtotal": total, "subtotal_excluding_tax": total, "total": total,
        "total_excluding_tax": total, "next_payment_attempt": wanted.advances.then_some(now + HOUR),
    });
    if let (Some(invoice), Value::Object(fields)) = (invoice.as_object_mut(), fields) {
        invoice.extend(fields);
    }
    if text(&invoice, "collection_method") == "send_invoice" {
        invoice["next_payment_attempt"] = Value::Null;
        let days = subscription["days_until_due"].as_i64().unwrap_or(30);
        invoice["due_date"] = (now + days * DAY).into();
    }
    books.insert_with("invoice.created", invoice)
}

fn blank(id: &str, subscription: &Value, customer: &Value) -> Value {
    json!({
        "id": id, "object": "invoice", "account_country": "DE", "account_name": "Sandbox", "account_tax_ids": null,
        "amount_overpaid": 0, "amount_paid": 0, "amount_shipping": 0, "application": null, "attempt_count": 0,
        "attempted": false,
        "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null },
        "collection_method": subscription["collection_method"], "currency": subscription["currency"],
        "custom_fields": null, "customer": customer["id"], "customer_account": null,
        "customer_address": customer["address"], "customer_email": customer["email"],
        "customer_name": customer["name"], "customer_phone": customer["phone"], "customer_shipping": null,
        "customer_tax_exempt": "none", "customer_tax_ids": [], "default_payment_method": null,
        "default_source": null, "default_tax_rates": [], "description": null, "discounts": [], "due_date": null,
        "effective_at": null, "ending_balance": null, "footer": null, "from_invoice": null,
        "hosted_invoice_url": null, "invoice_pdf": null, "issuer": { "type": "self" },
        "last_finalization_error": null, "latest_revision": null, "livemode": false, "metadata": {}, "number": null,
        "on_behalf_of": null,
        "parent": {
            "quote_details": null, "type": "subscription_details",
            "subscription_details": { "metadata": subscription["metadata"], "subscription": subscription["id"] },
        },
        "payment_settings": { "default_mandate": null, "payment_method_options": null, "payment_method_types": null },
        "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0, "receipt_number": null,
        "rendering": null, "shipping_cost": null, "shipping_details": null, "starting_balance": 0,
        "statement_descriptor": null, "status": "draft",
        "status_transitions": {
            "finalized_at": null, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null,
        },
        "test_clock": subscription["test_clock"], "total_discount_amounts": [], "total_pretax_credit_amounts": [],
        "total_taxes": [], "webhooks_delivered_at": null,
    })
}

/// The line of an item of a subscription.
pub(in super::super) fn line(item: &Value, amount: i64, period: (i64, i64), description: &str) -> Value {
    let price = &item["price"];
    let quantity = int(item, "quantity");
    json!({
        "id": ids::new("il"), "object": "line_item", "amount": amount, "currency": price["currency"],
        "description": description, "discount_amounts": [], "discountable": true, "discounts": [], "invoice": null,
        "livemode": false, "metadata": item["metadata"],
        "parent": {
            "invoice_item_details": null, "type": "subscription_item_details",
            "subscription_item_details": {
                "invoice_item": null, "proration": false, "proration_details": { "credited_items": null },
                "subscription": item["subscription"], "subscription_item": item["id"],
            },
        },
        "period": { "start": period.0, "end": period.1 }, "pretax_credit_amounts": [],
        "pricing": {
            "price_details": { "price": price["id"], "product": price["product"] }, "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity, "quantity_decimal": quantity.to_string(), "subscription": item["subscription"],
        "subtotal": amount, "taxes": [],
    })
}

/// A draft becomes final: it has a number, the customer's balance is taken into account, and nothing is paid yet unless there
/// is nothing to pay.
pub(in super::super) fn finalize(books: &mut Books, id: &str) {
    let Some(invoice) = books.find(id).filter(|it| text(it, "status") == "draft").cloned() else { return };
    let now = books.now_of(&invoice);
    let customer = books.find(text(&invoice, "customer")).cloned().unwrap_or_default();
    let number =
        format!("{}-{:04}", text(&customer, "invoice_prefix"), int(&customer, "next_invoice_sequence"));
    let (balance, total) = (int(&customer, "balance"), int(&invoice, "total"));
    let (due, ending) = ((total + balance).max(0), (total + balance).min(0));
    let url = format!("{}/invoice/{id}", books.base);
    let customer_id = text(&customer, "id").to_owned();
    books.set(&customer_id, |it| it["next_invoice_sequence"] = (int(it, "next_invoice_sequence") + 1).into());
    books.update("customer.updated", &customer_id, |it| it["balance"] = ending.into());
    books.set(id, |it| {
        it["status"] = "open".into();
        it["number"] = number.into();
        it["starting_balance"] = balance.into();
        it["ending_balance"] = ending.into();
        it["amount_due"] = due.into();
        it["amount_remaining"] = due.into();
        it["automatically_finalizes_at"] = Value::Null;
        it["effective_at"] = now.into();
        it["invoice_pdf"] = format!("{url}/pdf").into();
        it["hosted_invoice_url"] = url.into();
        it["status_transitions"]["finalized_at"] = now.into();
        it["next_payment_attempt"] = Value::Null;
    });
    if due > 0 {
        let invoice = books.find(id).cloned().unwrap_or_default();
        payments::intend(books, &invoice);
    }
    books.tell("invoice.finalized", id);
    if due == 0 {
        collect::close(books, id, collect::By::Nothing);
    }
}

/// Names of what an invoice is for, as its pages and its PDF show it, with amounts in the smallest unit.
pub(in super::super) fn rows(invoice: &Value) -> Vec<(String, i64)> {
    data(invoice, "lines").iter().map(|it| (text(it, "description").to_owned(), int(it, "amount"))).collect()
}

/// The lines of a period of every item.
pub(in super::super) fn period_lines(books: &Books, subscription: &Value, is_trial: bool) -> Vec<Value> {
    let items = array(&subscription["items"], "data");
    let of = |item: &Value| {
        let price = &item["price"];
        let amount = if is_trial { 0 } else { int(price, "unit_amount") * int(item, "quantity") };
        let name =
            books.find(text(price, "product")).map(|it| text(it, "name").to_owned()).unwrap_or_default();
        let interval = text(&price["recurring"], "interval");
        let description = if is_trial {
            format!("Trial period for {name}")
        } else {
            let each = super::super::pages::money(int(price, "unit_amount"), text(price, "currency"));
            format!("{} × {name} (at {each} / {interval})", int(item, "quantity"))
        };
        line(item, amount, (int(item, "current_period_start"), int(item, "current_period_end")), &description)
    };
    items.iter().map(of).collect()
}
