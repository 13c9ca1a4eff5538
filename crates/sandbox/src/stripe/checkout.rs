//! Checkout sessions: a subscription that is bought at a page of ours.

use serde_json::{Value, json};

use super::{
    api::Call,
    clocks, customers,
    failure::{Failure, Outcome},
    ids,
    invoices::collect::{self, Who},
    list, methods,
    store::Books,
    subscriptions::{
        create::{self, New},
        items::{self, Wanted},
    },
    time::{DAY, MINUTE},
    value::{array, int, merge_metadata, text},
};

const KNOWN: &[&str] = &[
    "mode",
    "line_items",
    "customer",
    "customer_email",
    "client_reference_id",
    "metadata",
    "subscription_data",
    "success_url",
    "cancel_url",
    "expires_at",
    "payment_method_types",
    "locale",
    "allow_promotion_codes",
    "billing_address_collection",
    "payment_method_collection",
    "customer_update",
    "automatic_tax",
    "ui_mode",
    "tax_id_collection",
    "consent_collection",
    "currency",
];

/// How a customer leaves the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Card,
    /// A card whose bank wanted a confirmation, and has it.
    Confirmed,
    Debit,
}

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(KNOWN)?;
    if params.required("mode")? != "subscription" {
        return Err(Failure::invalid(
            "mode",
            "The sandbox's checkout sells subscriptions alone: mode=subscription.",
        ));
    }
    let success_url = params.required("success_url")?.to_owned();
    let customer = match params.text("customer") {
        Some(id) => Some(books.get_for("customer", "customer", id)?),
        None => None,
    };
    if customer.is_some() && params.text("customer_email").is_some() {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(Failure::invalid("customer_email", message));
    }
    let items = items::wanted(books, params, "line_items")?;
    let clock = customer.as_ref().map(|it| it["test_clock"].clone()).unwrap_or_default();
    let now = books.now_at(clock.as_str());
    let expires = params.int("expires_at")?.unwrap_or(now + DAY);
    let is_ahead = |now: i64| (now + 30 * MINUTE - 5..=now + DAY + 5).contains(&expires);
    // Whoever reckons with the machine's time has it, though the customer's clock is elsewhere.
    let session_clock = if is_ahead(now) { clock } else { Value::Null };
    if !is_ahead(now) && !is_ahead(books.now) {
        let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
        return Err(Failure::invalid("expires_at", message));
    }
    let trial_end = create::trial_end(call, "subscription_data.", now)?;
    let without_method = create::missing_method(call, "subscription_data.")?;
    let total: i64 = items.iter().map(|it| int(&it.price, "unit_amount") * it.quantity).sum();
    let id = ids::new("cs_test");
    let currency = items.first().map(|it| it.price["currency"].clone()).unwrap_or_default();
    let mut session = blank(&id, &books.base, now);
    let fields = json!({
        "amount_subtotal": if trial_end.is_some() { 0 } else { total },
        "amount_total": if trial_end.is_some() { 0 } else { total },
        "cancel_url": params.text("cancel_url"), "client_reference_id": params.text("client_reference_id"),
        "currency": currency, "customer": params.text("customer"), "customer_email": params.text("customer_email"),
        "customer_creation": if customer.is_some() { Value::Null } else { "always".into() },
        "customer_details": details(customer.as_ref(), params.text("customer_email")), "expires_at": expires,
        "locale": params.text("locale"), "success_url": success_url,
        "_line_items": lines(&items, books), "_wanted": wanted(&items), "_clock": session_clock,
        "_subscription_data": {
            "metadata": params.object("subscription_data.metadata"), "trial_end": trial_end,
            "description": params.text("subscription_data.description"), "without_method": without_method,
        },
    });
    if let (Some(session), Value::Object(fields)) = (session.as_object_mut(), fields) {
        session.extend(fields);
    }
    merge_metadata(&mut session["metadata"], params.at("metadata"));
    books.insert(session);
    books.get("checkout.session", &id)
}

fn wanted(items: &[Wanted]) -> Vec<Value> {
    items.iter().map(|it| json!({ "price": it.price["id"], "quantity": it.quantity })).collect()
}

fn lines(items: &[Wanted], books: &Books) -> Vec<Value> {
    let of = |it: &Wanted| {
        let amount = int(&it.price, "unit_amount") * it.quantity;
        let product = books.find(text(&it.price, "product")).map(|it| it["name"].clone());
        json!({
            "id": ids::new("li"), "object": "item", "adjustable_quantity": null, "amount_discount": 0,
            "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount, "currency": it.price["currency"],
            "description": product, "metadata": {}, "price": super::value::shown(&it.price), "quantity": it.quantity,
        })
    };
    items.iter().map(of).collect()
}

fn details(customer: Option<&Value>, email: Option<&str>) -> Value {
    let of = |key: &str| customer.map(|it| it[key].clone()).unwrap_or_default();
    let email = email.map_or_else(|| of("email"), Into::into);
    if customer.is_none() && email.is_null() {
        return Value::Null;
    }
    json!({
        "address": of("address"), "business_name": null, "email": email, "individual_name": null, "name": of("name"),
        "phone": of("phone"), "tax_exempt": "none", "tax_ids": [],
    })
}

fn blank(id: &str, base: &str, now: i64) -> Value {
    json!({
        "id": id, "object": "checkout.session", "adaptive_pricing": null, "after_expiration": null,
        "allow_promotion_codes": null, "allowed_payment_method_types": null,
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "billing_address_collection": null, "client_secret": null, "collected_information": null, "consent": null,
        "consent_collection": null, "created": now, "currency_conversion": null, "custom_fields": [],
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null,
        },
        "customer_account": null, "discounts": [], "integration_identifier": null, "invoice": null,
        "invoice_creation": null, "livemode": false, "managed_payments": null, "metadata": {}, "mode": "subscription",
        "origin_context": null, "payment_intent": null, "payment_link": null, "payment_method_collection": "always",
        "payment_method_configuration_details": null,
        "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
        "payment_method_types": ["card", "sepa_debit"], "payment_status": "unpaid", "permissions": null,
        "phone_number_collection": { "enabled": false }, "recovered_from": null,
        "saved_payment_method_options": {
            "allow_redisplay_filters": ["always"], "payment_method_remove": "disabled", "payment_method_save": null,
        },
        "setup_intent": null, "shipping_address_collection": null, "shipping_cost": null, "shipping_options": [],
        "status": "open", "submit_type": null, "subscription": null,
        "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 }, "ui_mode": "hosted_page",
        "url": format!("{base}/pay/{id}"), "wallet_options": null,
    })
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&list::with(&[
        "customer",
        "subscription",
        "payment_intent",
        "status",
        "customer_details",
    ]))?;
    let is_wanted = |it: &&Value| {
        ["customer", "subscription", "payment_intent", "status"]
            .iter()
            .all(|key| params.text(key).is_none_or(|wanted| text(it, key) == wanted))
            && params
                .text("customer_details.email")
                .is_none_or(|email| text(&it["customer_details"], "email") == email)
    };
    list::page(call, books.all("checkout.session").rev().filter(is_wanted))
}

pub(super) fn line_items(books: &Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&list::with(&[]))?;
    let session = books.get("checkout.session", id)?;
    list::page(call, array(&session, "_line_items").iter())
}

pub(super) fn expire(books: &mut Books, id: &str) -> Outcome {
    let session = books.get("checkout.session", id)?;
    if text(&session, "status") != "open" {
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
            text(&session, "status")
        );
        return Err(Failure::invalid("session", &message));
    }
    end(books, id);
    books.get("checkout.session", id)
}

/// Nobody bought anything in time.
pub(super) fn end(books: &mut Books, id: &str) {
    books.set(id, |it| {
        it["status"] = "expired".into();
        it["url"] = Value::Null;
    });
    books.tell("checkout.session.expired", id);
}

/// The customer buys; whether the session was still open.
pub(super) fn complete(books: &mut Books, id: &str, how: How) -> bool {
    let Some(session) = books.find(id).filter(|it| text(it, "status") == "open").cloned() else {
        return false;
    };
    let customer = customer_of(books, &session);
    let method = match how {
        How::Card => methods::card(books, "visa", "4242", "pays", false),
        How::Confirmed => methods::card(books, "visa", "3184", "asks", false),
        How::Debit => methods::sepa(books),
    };
    let method = methods::attach_new(books, method, &customer);
    let data = &session["_subscription_data"];
    let priced = |it: &Value| {
        let price = books.find(text(it, "price")).cloned().unwrap_or_default();
        Wanted { price, quantity: int(it, "quantity"), metadata: json!({}) }
    };
    let new = New {
        items: array(&session, "_wanted").iter().map(priced).collect(),
        customer: customer.clone(),
        metadata: data["metadata"].clone(),
        description: data["description"].as_str().map(str::to_owned),
        method: Some(method),
        trial_end: data["trial_end"].as_i64(),
        without_method: text(data, "without_method").to_owned(),
        days_until_due: None,
    };
    let subscription = create::make(books, &new);
    let invoice = create::first_invoice(books, &subscription);
    collect::attempt(books, &invoice, None, Who::Customer);
    let is_paid = books.find(&invoice).is_some_and(|it| text(it, "status") == "paid");
    let status = match (int(&session, "amount_total"), is_paid) {
        (0, _) => "no_payment_required",
        (_, true) => "paid",
        (_, false) => "unpaid",
    };
    let customer_is = books.find(&customer).cloned();
    books.set(id, |it| {
        it["status"] = "complete".into();
        it["payment_status"] = status.into();
        it["customer"] = customer.into();
        it["customer_details"] = details(customer_is.as_ref(), None);
        it["subscription"] = subscription.into();
        it["invoice"] = invoice.into();
        it["url"] = Value::Null;
    });
    books.tell("checkout.session.completed", id);
    true
}

/// The session's customer, who is made if there is none.
fn customer_of(books: &mut Books, session: &Value) -> String {
    let alive = |it: &&Value| it["deleted"].as_bool() != Some(true);
    if let Some(customer) = books.find(text(session, "customer")).filter(alive) {
        return text(customer, "id").to_owned();
    }
    let clock = clocks::own(books);
    let email = session["customer_email"].as_str().unwrap_or("customer@example.com").to_owned();
    let id = customers::make(books, clock.as_deref(), |it| it["email"] = email.into());
    books.tell("customer.created", &id);
    id
}

/// The payment of a session that was completed unpaid has come, or will not.
pub(super) fn settled(books: &mut Books, invoice: &str, is_paid: bool) {
    let waits = |it: &&Value| text(it, "invoice") == invoice && text(it, "payment_status") == "unpaid";
    let Some(id) = books.all("checkout.session").find(waits).map(|it| text(it, "id").to_owned()) else {
        return;
    };
    if is_paid {
        books.set(&id, |it| it["payment_status"] = "paid".into());
        books.tell("checkout.session.async_payment_succeeded", &id);
    } else if books.find(&id).is_some_and(|it| it["_failed"] != true) {
        books.set(&id, |it| it["_failed"] = true.into());
        books.tell("checkout.session.async_payment_failed", &id);
    }
}
