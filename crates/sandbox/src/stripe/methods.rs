//! Payment methods: the test ones that Stripe documents, and what happens when one is used.

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::{Failure, Outcome},
    ids, list,
    store::Books,
    value::{merge_metadata, shown, text},
};

/// What a payment by a method comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acts {
    /// It is paid at once.
    Pays,
    /// The bank says no, with this code.
    Declines(&'static str),
    /// The bank asks for confirmation, of which nobody is capable when the customer is away.
    Asks,
    /// It takes days.
    TakesDays,
}

/// Name, brand, last digits, what it does, and whether it is refused already when it is attached.
const TEST_CARDS: &[(&str, &str, &str, &str, bool)] = &[
    ("visa", "visa", "4242", "pays", false),
    ("mastercard", "mastercard", "4444", "pays", false),
    ("amex", "amex", "0005", "pays", false),
    ("chargeCustomerFail", "visa", "0341", "generic_decline", false),
    ("chargeDeclined", "visa", "0002", "generic_decline", true),
    ("visa_chargeDeclined", "visa", "0002", "generic_decline", true),
    ("visa_chargeDeclinedInsufficientFunds", "visa", "9995", "insufficient_funds", true),
    ("chargeDeclinedInsufficientFunds", "visa", "9995", "insufficient_funds", true),
    ("chargeDeclinedExpiredCard", "visa", "0069", "expired_card", true),
    ("authenticationRequired", "visa", "3184", "asks", false),
    ("authenticationRequiredOnSetup", "visa", "3155", "asks", false),
];

/// A new payment method for one of the test names, with or without `pm_card_` or `tok_`; none if it is no such name.
fn from_test_name(books: &Books, name: &str) -> Option<Value> {
    if matches!(name, "pm_sepaDebit" | "pm_success_de" | "pm_sepa_debit" | "sepa_debit") {
        return Some(sepa(books));
    }
    let short = name.strip_prefix("pm_card_").or_else(|| name.strip_prefix("tok_"))?;
    let (_, brand, last4, acts, refused) = TEST_CARDS.iter().find(|(known, ..)| *known == short)?;
    Some(card(books, brand, last4, acts, *refused))
}

/// A card that acts so.
pub(super) fn card(books: &Books, brand: &str, last4: &str, acts: &str, refused: bool) -> Value {
    let mut method = blank(books, "card");
    method["card"] = json!({
        "brand": brand, "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
        "country": "DE", "display_brand": brand, "exp_month": 12, "exp_year": 2040, "fingerprint": ids::letters(16),
        "funding": "credit", "generated_from": null, "last4": last4,
        "networks": { "available": [brand], "preferred": null }, "regulated_status": "unregulated",
        "three_d_secure_usage": { "supported": true }, "wallet": null,
    });
    method["_acts"] = acts.into();
    method["_refused"] = refused.into();
    method
}

/// A bank account whose debits take days.
pub(super) fn sepa(books: &Books) -> Value {
    let mut method = blank(books, "sepa_debit");
    method["sepa_debit"] = json!({
        "bank_code": "37040044", "branch_code": "", "country": "DE", "fingerprint": ids::letters(16),
        "generated_from": { "charge": null, "setup_attempt": null }, "last4": "3000",
    });
    method["_acts"] = "days".into();
    method
}

fn blank(books: &Books, kind: &str) -> Value {
    json!({
        "id": ids::new("pm"), "object": "payment_method", "allow_redisplay": "unspecified",
        "billing_details": {
            "address": { "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null },
            "email": null, "name": null, "phone": null, "tax_id": null,
        },
        "created": books.now, "customer": null, "customer_account": null, "livemode": false, "metadata": {}, "type": kind,
    })
}

/// What a payment by it comes to.
pub(super) fn acts(method: &Value) -> Acts {
    match text(method, "_acts") {
        "asks" => Acts::Asks,
        "days" => Acts::TakesDays,
        "insufficient_funds" => Acts::Declines("insufficient_funds"),
        "expired_card" => Acts::Declines("expired_card"),
        "generic_decline" => Acts::Declines("generic_decline"),
        _ => Acts::Pays,
    }
}

/// What the bank says with a decline: Stripe's code, and its sentence.
pub(super) fn sentence(decline_code: &str) -> (&'static str, &'static str) {
    match decline_code {
        "insufficient_funds" => ("card_declined", "Your card has insufficient funds."),
        "expired_card" => ("expired_card", "Your card has expired."),
        "authentication_required" => {
            ("authentication_required", "Your card was declined. This transaction requires authentication.")
        }
        _ => ("card_declined", "Your card was declined."),
    }
}

/// The refusal of a payment with that decline code.
pub(super) fn declined(decline_code: &str) -> Failure {
    let (code, message) = sentence(decline_code);
    Failure::card(code, Some(decline_code), message)
}

pub(super) fn get(books: &mut Books, id: &str) -> Outcome {
    match from_test_name(books, id) {
        Some(method) => Ok(method),
        None => books.get("payment_method", id),
    }
}

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&["type", "card", "sepa_debit", "billing_details", "metadata", "allow_redisplay"])?;
    let mut method = match params.one_of("type", &["card", "sepa_debit"])? {
        Some("sepa_debit") => sepa(books),
        Some(_) => {
            let token = params.required("card.token").map_err(|_| {
                let message = "The sandbox makes cards from test tokens alone, such as card[token]=tok_visa.";
                Failure::invalid("card[token]", message)
            })?;
            from_test_name(books, token).ok_or_else(|| Failure::missing_in("card[token]", "token", token))?
        }
        None => return Err(Failure::required("type")),
    };
    for key in ["email", "name", "phone"] {
        if let Some(value) = params.text(&format!("billing_details.{key}")) {
            method["billing_details"][key] = value.into();
        }
    }
    merge_metadata(&mut method["metadata"], params.at("metadata"));
    let id = books.insert(method);
    books.get("payment_method", &id)
}

pub(super) fn attach(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&["customer"])?;
    let customer = call.params.required("customer")?;
    books.get_for("customer", "customer", customer)?;
    let attached = attach_to(books, id, customer)?;
    books.get("payment_method", &attached)
}

/// Attaches one, by its id or by a test name; gives its id.
pub(super) fn attach_to(books: &mut Books, id: &str, customer: &str) -> Result<String, Failure> {
    let method = match from_test_name(books, id) {
        Some(method) => method,
        None => books.get("payment_method", id)?,
    };
    match method["customer"].as_str() {
        Some(owner) if owner == customer => return Ok(id.to_owned()),
        Some(_) => {
            let message = "The payment method you provided has already been attached to a customer.";
            return Err(Failure::refused("payment_method_already_attached", message));
        }
        None => {}
    }
    if let (true, Acts::Declines(code)) = (method["_refused"] == true, acts(&method)) {
        return Err(declined(code));
    }
    Ok(attach_new(books, method, customer))
}

/// Attaches a payment method that may not be kept yet.
pub(super) fn attach_new(books: &mut Books, mut method: Value, customer: &str) -> String {
    let id = text(&method, "id").to_owned();
    method["customer"] = customer.into();
    method["_clock"] = books.find(customer).map(|it| it["test_clock"].clone()).unwrap_or_default();
    if books.find(&id).is_some() {
        books.set(&id, |it| *it = method);
        books.tell("payment_method.attached", &id);
        id
    } else {
        books.insert_with("payment_method.attached", method)
    }
}

/// The id of a method of that customer; a test name is attached first.
pub(super) fn of_customer(books: &mut Books, id: &str, customer: &str) -> Result<String, Failure> {
    if from_test_name(books, id).is_some() {
        return attach_to(books, id, customer);
    }
    let method = books.get_for("default_payment_method", "payment_method", id)?;
    if text(&method, "customer") == customer {
        return Ok(id.to_owned());
    }
    let message = format!(
        "The customer does not have a payment method with the ID {id}. The payment method must be attached to the customer."
    );
    Err(Failure::refused("resource_missing", &message))
}

pub(super) fn detach(books: &mut Books, id: &str) -> Outcome {
    let method = books.get("payment_method", id)?;
    let Some(customer) = method["customer"].as_str() else {
        let message =
            "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(Failure::invalid("payment_method", message));
    };
    books.set(id, |it| it["customer"] = Value::Null);
    if let Some(now) = books.find(id).map(shown) {
        books.emit("payment_method.detached", &now, Some(json!({ "customer": customer })));
    }
    let is_default = |it: &Value| text(&it["invoice_settings"], "default_payment_method") == id;
    if books.find(customer).is_some_and(is_default) {
        books.update("customer.updated", customer, |it| {
            it["invoice_settings"]["default_payment_method"] = Value::Null;
        });
    }
    books.get("payment_method", id)
}

pub(super) fn list(books: &Books, call: &Call, of: Option<&str>) -> Outcome {
    call.params.only(&list::with(&["customer", "type"]))?;
    let customer = of.or_else(|| call.params.text("customer"));
    if let Some(id) = customer {
        books.get_for("customer", "customer", id)?;
    }
    let kind = call.params.text("type");
    let is_wanted = |it: &&Value| {
        customer.is_some_and(|id| text(it, "customer") == id)
            && kind.is_none_or(|kind| text(it, "type") == kind)
    };
    list::page(call, books.all("payment_method").rev().filter(is_wanted))
}

/// The method that a subscription or a customer pays by.
pub(super) fn paying<'a>(
    books: &'a Books,
    subscription: Option<&Value>,
    customer: &str,
) -> Option<&'a Value> {
    let own = subscription.map(|it| text(it, "default_payment_method")).filter(|it| !it.is_empty());
    let of_customer =
        || books.find(customer).map(|it| text(&it["invoice_settings"], "default_payment_method"));
    let found = books.find(own.or_else(of_customer)?)?;
    (text(found, "customer") == customer).then_some(found)
}
