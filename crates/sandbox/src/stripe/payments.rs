//! Payment intents, charges, and which of them pays an invoice.

use serde_json::{Value, json};

use super::{api::Call, failure::Outcome, ids, list, methods, store::Books, value::text};

/// An intent to pay an open invoice, and the payment that ties the two.
pub(super) fn intend(books: &mut Books, invoice: &Value) {
    let id = ids::new("pi");
    let clock = invoice["test_clock"].clone();
    let (amount, now) = (invoice["amount_due"].clone(), books.now_of(invoice));
    let intent = json!({
        "id": id, "object": "payment_intent", "allowed_payment_method_types": null, "amount": amount,
        "amount_capturable": 0, "amount_details": { "tip": {} }, "amount_received": 0, "application": null,
        "application_fee_amount": null, "automatic_payment_methods": null, "canceled_at": null,
        "cancellation_reason": null, "capture_method": "automatic",
        "client_secret": format!("{id}_secret_{}", ids::letters(25)), "confirmation_method": "automatic",
        "created": now, "currency": invoice["currency"], "customer": invoice["customer"], "customer_account": null,
        "description": "Subscription creation", "excluded_payment_method_types": null, "last_payment_error": null,
        "latest_charge": null, "livemode": false, "managed_payments": null, "metadata": {}, "next_action": null,
        "on_behalf_of": null,
        "payment_details": { "customer_reference": null, "order_reference": invoice["id"] }, "payment_method": null,
        "payment_method_configuration_details": null,
        "payment_method_options": { "card": {
            "installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic" } },
        "payment_method_types": ["card", "sepa_debit"], "payment_record": null, "processing": null,
        "receipt_email": null, "review": null, "setup_future_usage": "off_session", "shipping": null, "source": null,
        "statement_descriptor": null, "statement_descriptor_suffix": null, "status": "requires_payment_method",
        "transfer_data": null, "transfer_group": null, "_invoice": invoice["id"], "_clock": clock,
    });
    let id = books.insert_with("payment_intent.created", intent);
    books.insert(json!({
        "id": ids::new("inpay"), "object": "invoice_payment", "amount_paid": null, "amount_requested": amount,
        "created": now, "currency": invoice["currency"], "invoice": invoice["id"], "is_default": true,
        "livemode": false, "payment": { "payment_intent": id, "type": "payment_intent" }, "status": "open",
        "status_transitions": { "canceled_at": null, "paid_at": null }, "_clock": clock,
    }));
    books.set(text(invoice, "id"), |it| it["_intent"] = id.into());
}

/// The intent is paid by that method.
pub(super) fn succeed(books: &mut Books, intent: &str, method: &Value) {
    let charge = charge(books, intent, method, "succeeded", None);
    books.tell("charge.succeeded", &charge);
    finish(books, intent, Some(method));
}

/// What was under way is paid.
pub(super) fn settle(books: &mut Books, intent: &str) {
    let charge = books.find(intent).map(|it| text(it, "latest_charge").to_owned()).unwrap_or_default();
    books.set(&charge, |it| {
        it["status"] = "succeeded".into();
        it["paid"] = true.into();
        it["captured"] = true.into();
        it["amount_captured"] = it["amount"].clone();
    });
    books.tell("charge.succeeded", &charge);
    finish(books, intent, None);
}

fn finish(books: &mut Books, intent: &str, method: Option<&Value>) {
    books.set(intent, |it| {
        it["status"] = "succeeded".into();
        it["amount_received"] = it["amount"].clone();
        it["last_payment_error"] = Value::Null;
        it["next_action"] = Value::Null;
        if let Some(method) = method {
            it["payment_method"] = method["id"].clone();
        }
    });
    books.tell("payment_intent.succeeded", intent);
}

/// The bank says no, to a new attempt or to one that was under way.
pub(super) fn fail(books: &mut Books, intent: &str, method: Option<&Value>, decline_code: &str) {
    let (code, message) = methods::sentence(decline_code);
    let under_way = books.find(intent).filter(|it| text(it, "status") == "processing");
    let under_way = under_way.map(|it| text(it, "latest_charge").to_owned());
    let charge = match (under_way, method) {
        (Some(charge), _) => {
            books.set(&charge, |it| mark_failed(it, code, message));
            Some(charge)
        }
        (None, Some(method)) => Some(charge_failed(books, intent, method, decline_code)),
        (None, None) => None,
    };
    if let Some(charge) = &charge {
        books.tell("charge.failed", charge);
    }
    let shown = method.map(super::value::shown);
    books.set(intent, |it| {
        it["status"] = "requires_payment_method".into();
        it["next_action"] = Value::Null;
        it["payment_method"] = Value::Null;
        it["last_payment_error"] = json!({
            "type": "card_error", "code": code, "decline_code": decline_code, "message": message, "charge": charge,
        });
        if let Some(method) = shown {
            it["last_payment_error"]["payment_method"] = method;
        }
    });
    books.tell("payment_intent.payment_failed", intent);
}

/// The bank wants the customer to confirm.
pub(super) fn ask(books: &mut Books, intent: &str, method: &Value) {
    books.set(intent, |it| {
        it["status"] = "requires_action".into();
        it["payment_method"] = method["id"].clone();
        it["next_action"] = json!({ "type": "use_stripe_sdk", "use_stripe_sdk": {} });
    });
    books.tell("payment_intent.requires_action", intent);
}

/// The bank is at work, for days.
pub(super) fn process(books: &mut Books, intent: &str, method: &Value) {
    let charge = charge(books, intent, method, "pending", None);
    books.set(intent, |it| {
        it["status"] = "processing".into();
        it["payment_method"] = method["id"].clone();
        it["latest_charge"] = charge.as_str().into();
    });
    books.tell("charge.pending", &charge);
    books.tell("payment_intent.processing", intent);
}

/// Nobody is to pay this any more.
pub(super) fn cancel(books: &mut Books, intent: &str) {
    let is_open = |it: &Value| !matches!(text(it, "status"), "succeeded" | "canceled");
    let Some(now) = books.find(intent).filter(|it| is_open(it)).map(|it| books.now_of(it)) else { return };
    books.set(intent, |it| {
        it["status"] = "canceled".into();
        it["canceled_at"] = now.into();
        it["cancellation_reason"] = "void_invoice".into();
        it["next_action"] = Value::Null;
    });
    books.tell("payment_intent.canceled", intent);
    close_payment(books, intent, "canceled", "canceled_at", now);
}

/// The payment of the invoice is made.
pub(super) fn pay_invoice(books: &mut Books, intent: &str) {
    let Some(now) = books.find(intent).map(|it| books.now_of(it)) else { return };
    if let Some(payment) = close_payment(books, intent, "paid", "paid_at", now) {
        books.tell("invoice_payment.paid", &payment);
    }
}

fn close_payment(books: &mut Books, intent: &str, status: &str, when: &str, now: i64) -> Option<String> {
    let is_it = |it: &&Value| text(&it["payment"], "payment_intent") == intent;
    let id = books.all("invoice_payment").find(is_it).map(|it| text(it, "id").to_owned())?;
    books.set(&id, |it| {
        it["status"] = status.into();
        it["status_transitions"][when] = now.into();
        if status == "paid" {
            it["amount_paid"] = it["amount_requested"].clone();
        }
    });
    Some(id)
}

fn charge_failed(books: &mut Books, intent: &str, method: &Value, decline_code: &str) -> String {
    charge(books, intent, method, "failed", Some(decline_code))
}

fn mark_failed(charge: &mut Value, code: &str, message: &str) {
    charge["status"] = "failed".into();
    charge["paid"] = false.into();
    charge["failure_code"] = code.into();
    charge["failure_message"] = message.into();
}

fn charge(books: &mut Books, intent: &str, method: &Value, status: &str, decline: Option<&str>) -> String {
    let of = books.find(intent).cloned().unwrap_or_default();
    let kind = text(method, "type");
    let is_paid = status == "succeeded";
    let id = ids::new(if kind == "card" { "ch" } else { "py" });
    let base = &books.base;
    let mut charge = json!({
        "id": id, "object": "charge", "amount": of["amount"], "amount_captured": if is_paid { of["amount"].clone() } else { 0.into() },
        "amount_refunded": 0, "application": null, "application_fee": null, "application_fee_amount": null,
        "balance_transaction": null, "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX", "captured": is_paid, "created": books.now_of(&of),
        "currency": of["currency"], "customer": of["customer"], "description": of["description"], "disputed": false,
        "failure_balance_transaction": null, "failure_code": null, "failure_message": null, "fraud_details": {},
        "livemode": false, "metadata": {}, "on_behalf_of": null,
        "outcome": {
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": if decline.is_some() { "declined_by_network" } else { "approved_by_network" },
            "reason": decline, "risk_level": "normal", "seller_message": if decline.is_some() {
                "The bank did not return any further details with this decline." } else { "Payment complete." },
            "type": if decline.is_some() { "issuer_declined" } else { "authorized" },
        },
        "paid": is_paid, "payment_intent": intent, "payment_method": method["id"],
        "payment_method_details": details(method, &of["amount"]),
        "receipt_email": null, "receipt_number": null, "receipt_url": format!("{base}/receipts/{id}"),
        "refunded": false, "review": null, "shipping": null, "source": null, "source_transfer": null,
        "statement_descriptor": null, "statement_descriptor_suffix": null, "status": status, "transfer_data": null,
        "transfer_group": null, "_invoice": of["_invoice"], "_clock": of["_clock"],
    });
    if let Some(code) = decline {
        let (code, message) = methods::sentence(code);
        mark_failed(&mut charge, code, message);
    }
    books.set(intent, |it| it["latest_charge"] = id.as_str().into());
    books.insert(charge)
}

/// What a charge says of the method that was used.
fn details(method: &Value, amount: &Value) -> Value {
    let own = &method[text(method, "type")];
    if text(method, "type") != "card" {
        return json!({ "type": "sepa_debit", "sepa_debit": {
            "bank_code": own["bank_code"], "branch_code": own["branch_code"], "country": own["country"],
            "fingerprint": own["fingerprint"], "last4": own["last4"], "mandate": null,
        } });
    }
    json!({ "type": "card", "card": {
        "amount_authorized": amount, "authorization_code": null, "brand": own["brand"], "checks": own["checks"],
        "country": own["country"], "electronic_commerce_indicator": null, "exp_month": own["exp_month"],
        "exp_year": own["exp_year"], "fingerprint": own["fingerprint"], "funding": own["funding"],
        "installments": null, "last4": own["last4"], "mandate": null, "network": own["brand"],
        "network_token": { "used": false }, "network_transaction_id": null,
        "regulated_status": own["regulated_status"], "three_d_secure": null, "transaction_link_id": null,
        "wallet": null,
    } })
}

pub(super) fn list(books: &Books, call: &Call, object: &str) -> Outcome {
    call.params.only(&list::with(&["customer", "payment_intent"]))?;
    let is_wanted = |it: &&Value| {
        ["customer", "payment_intent"]
            .iter()
            .all(|key| call.params.text(key).is_none_or(|wanted| text(it, key) == wanted))
    };
    list::page(call, books.all(object).rev().filter(is_wanted))
}

/// `GET /v1/invoice_payments`
pub(super) fn list_of_invoices(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&["invoice", "status", "payment"]))?;
    let (invoice, status) = (call.params.text("invoice"), call.params.text("status"));
    let intent = call.params.text("payment.payment_intent");
    let is_wanted = |it: &&Value| {
        invoice.is_none_or(|id| text(it, "invoice") == id)
            && status.is_none_or(|status| text(it, "status") == status)
            && intent.is_none_or(|id| text(&it["payment"], "payment_intent") == id)
    };
    list::page(call, books.all("invoice_payment").rev().filter(is_wanted))
}
