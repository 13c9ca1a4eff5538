//! `expand[]`: objects in place of their ids, and parts that are only shown on request.

use serde_json::{Value, json};

use super::{
    failure::Failure,
    list::whole,
    store::Books,
    value::{shown, text},
};

/// Levels that one path may have; `data` of a list is one.
const DEEPEST: usize = 4;

/// Expands each of the paths.
pub(super) fn apply(books: &Books, answer: &mut Value, paths: &[&str]) -> Result<(), Failure> {
    for path in paths {
        let keys: Vec<&str> = path.split('.').collect();
        if keys.iter().filter(|key| **key != "data").count() > DEEPEST {
            return Err(Failure::invalid("expand", "You cannot expand more than 4 levels of a property."));
        }
        follow(books, answer, &keys, path)?;
    }
    Ok(())
}

fn follow(books: &Books, at: &mut Value, keys: &[&str], path: &str) -> Result<(), Failure> {
    if let Value::Array(all) = at {
        return all.iter_mut().try_for_each(|it| follow(books, it, keys, path));
    }
    let [key, rest @ ..] = keys else { return Ok(()) };
    if at.is_null() || at["deleted"].as_bool() == Some(true) {
        return Ok(());
    }
    if at.get(*key).is_none() {
        let Some(part) = on_request(books, at, key) else {
            let message = format!(
                "This property cannot be expanded ({key}). You may want to try expanding another one; the path was {path}."
            );
            return Err(Failure::invalid("expand", &message));
        };
        at[*key] = part;
    }
    let field = &mut at[*key];
    if let Some(object) = field.as_str().and_then(|id| books.find(id)) {
        *field = shown(object);
    }
    follow(books, field, rest, path)
}

/// What an object has only if it is asked for.
fn on_request(books: &Books, of: &Value, key: &str) -> Option<Value> {
    let id = text(of, "id");
    let stored = books.find(id)?;
    match (text(of, "object"), key) {
        ("invoice", "payments") => {
            let payments: Vec<Value> =
                books.all("invoice_payment").filter(|it| text(it, "invoice") == id).map(shown).collect();
            Some(whole("/v1/invoice_payments", &payments))
        }
        ("invoice", "confirmation_secret") => {
            let secret = books.find(text(stored, "_intent")).map(|intent| intent["client_secret"].clone());
            Some(secret.map_or(Value::Null, |it| json!({ "client_secret": it, "type": "payment_intent" })))
        }
        ("checkout.session", "line_items") => {
            Some(whole(&format!("/v1/checkout/sessions/{id}/line_items"), stored["_line_items"].as_array()?))
        }
        ("customer", "subscriptions") => {
            let is_open = |it: &&Value| text(it, "customer") == id && text(it, "status") != "canceled";
            let found: Vec<Value> = books.all("subscription").filter(is_open).map(shown).collect();
            Some(whole(&format!("/v1/customers/{id}/subscriptions"), &found))
        }
        ("charge", "refunds") => {
            let refunds: Vec<Value> =
                books.all("refund").filter(|it| text(it, "charge") == id).map(shown).collect();
            Some(whole(&format!("/v1/charges/{id}/refunds"), &refunds))
        }
        _ => None,
    }
}
