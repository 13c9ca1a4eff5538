//! Sessions of the billing portal: a page of ours where a customer looks after subscriptions.

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::Outcome,
    ids, methods,
    store::Books,
    subscriptions::cancel,
    value::{shown, text},
};

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&["customer", "return_url", "configuration", "locale", "flow_data"])?;
    let customer = books.get_for("customer", "customer", params.required("customer")?)?;
    let id = ids::new("bps");
    let session = json!({
        "id": id, "object": "billing_portal.session", "configuration": params.text("configuration").unwrap_or("bpc_sandbox"),
        "created": books.now_of(&customer), "customer": customer["id"], "customer_account": null, "flow": null,
        "livemode": false, "locale": params.text("locale"), "on_behalf_of": null,
        "return_url": params.text("return_url"), "url": format!("{}/portal/{id}", books.base),
        "_clock": customer["test_clock"],
    });
    books.insert(session.clone());
    Ok(shown(&session))
}

/// Gives a customer a new method, by which everything is paid from now on.
pub(super) fn replace_method(books: &mut Books, customer: &str, method: Value) {
    let id = methods::attach_new(books, method, customer);
    books.update("customer.updated", customer, |it| {
        it["invoice_settings"]["default_payment_method"] = id.as_str().into();
    });
    let own = |it: &&Value| {
        text(it, "customer") == customer && !cancel::is_over(it) && it["default_payment_method"].is_string()
    };
    let subscriptions: Vec<String> =
        books.all("subscription").filter(own).map(|it| text(it, "id").to_owned()).collect();
    for subscription in subscriptions {
        books.update("customer.subscription.updated", &subscription, |it| {
            it["default_payment_method"] = id.as_str().into();
        });
    }
}
