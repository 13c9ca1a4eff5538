//! Customers.

use serde_json::{Value, json};

use super::{
    api::Call,
    clocks,
    failure::{Failure, Outcome},
    form::Params,
    ids, list, methods,
    store::Books,
    subscriptions::cancel,
    value::{merge_metadata, text},
};

const TEXTS: &[&str] = &["email", "name", "description", "phone"];
const KNOWN: &[&str] = &[
    "email",
    "name",
    "description",
    "phone",
    "metadata",
    "payment_method",
    "invoice_settings",
    "address",
    "preferred_locales",
];

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    call.params.only(&[KNOWN, &["test_clock"]].concat())?;
    let clock = match call.params.text("test_clock") {
        Some(id) => Some(text(&books.get_for("test_clock", "test_helpers.test_clock", id)?, "id").to_owned()),
        None => clocks::own(books),
    };
    let id = make(books, clock.as_deref(), |customer| {
        apply(customer, &call.params);
    });
    if let Err(failure) = settle_methods(books, &call.params, &id) {
        books.remove(&id);
        return Err(failure);
    }
    books.tell("customer.created", &id);
    books.get("customer", &id)
}

/// A customer, of whom nobody was told yet.
pub(super) fn make(books: &mut Books, clock: Option<&str>, fill: impl FnOnce(&mut Value)) -> String {
    let mut customer = json!({
        "id": ids::new("cus"), "object": "customer", "address": null, "balance": 0,
        "created": books.now_at(clock), "currency": null, "customer_account": null, "default_source": null,
        "delinquent": false, "description": null, "email": null, "invoice_prefix": ids::letters(8).to_uppercase(),
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
        },
        "livemode": false, "metadata": {}, "name": null, "next_invoice_sequence": 1, "phone": null,
        "preferred_locales": [], "shipping": null, "tax_exempt": "none", "test_clock": clock,
    });
    fill(&mut customer);
    books.insert(customer)
}

fn apply(customer: &mut Value, params: &Params) {
    for key in TEXTS {
        if params.is_unset(key) {
            customer[*key] = Value::Null;
        } else if let Some(value) = params.text(key) {
            customer[*key] = value.into();
        }
    }
    if let Some(address) = params.at("address") {
        let parts = ["city", "country", "line1", "line2", "postal_code", "state"];
        customer["address"] = parts.iter().map(|part| ((*part).to_owned(), address[*part].clone())).collect();
    }
    let locales = params.texts("preferred_locales");
    if !locales.is_empty() {
        customer["preferred_locales"] = json!(locales);
    }
    merge_metadata(&mut customer["metadata"], params.at("metadata"));
}

/// Attaches the payment method that is given, and makes the one default that is named so.
fn settle_methods(books: &mut Books, params: &Params, id: &str) -> Result<(), Failure> {
    if let Some(method) = params.text("payment_method") {
        methods::attach_to(books, method, id)?;
    }
    if let Some(method) = params.text("invoice_settings.default_payment_method") {
        let method = methods::of_customer(books, method, id)?;
        books.set(id, |it| it["invoice_settings"]["default_payment_method"] = method.into());
    } else if params.is_unset("invoice_settings.default_payment_method") {
        books.set(id, |it| it["invoice_settings"]["default_payment_method"] = Value::Null);
    }
    Ok(())
}

pub(super) fn change(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(KNOWN)?;
    let before = books.get("customer", id)?;
    if before["deleted"].as_bool() == Some(true) {
        return Err(Failure::missing("customer", id));
    }
    settle_methods(books, &call.params, id)?;
    books.set(id, |customer| apply(customer, &call.params));
    let after = books.get("customer", id)?;
    if let Some(previous) = super::value::changed(&before, &after) {
        books.emit("customer.updated", &after, Some(previous));
    }
    Ok(after)
}

/// The customer is gone and asking says so, with a good status. Subscriptions end at once.
pub(super) fn delete(books: &mut Books, id: &str) -> Outcome {
    let customer = books.get("customer", id)?;
    if customer["deleted"].as_bool() == Some(true) {
        return Err(Failure::missing("customer", id));
    }
    books.emit("customer.deleted", &customer, None);
    cancel::all_of(books, id);
    let gone = json!({ "id": id, "object": "customer", "deleted": true });
    let clock = customer["test_clock"].clone();
    books.set(id, |it| {
        *it = gone.clone();
        it["_clock"] = clock;
    });
    Ok(gone)
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&["email", "test_clock"]))?;
    let (email, clock) = (call.params.text("email"), call.params.text("test_clock"));
    let is_wanted = |it: &&Value| {
        it["deleted"].as_bool() != Some(true)
            && email.is_none_or(|email| text(it, "email") == email)
            && clocks::is_listed(books, it, clock)
    };
    list::page(call, books.all("customer").rev().filter(is_wanted))
}
