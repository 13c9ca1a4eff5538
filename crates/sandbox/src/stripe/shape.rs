//! API versions: what is kept has the newest shape, and callers of older versions get the one from before 2025-03-31.

use serde_json::{Value, json};

use super::{
    store::Books,
    value::{data, text},
};

/// The version of what is kept, and of a caller who names none.
pub(super) const VERSION: &str = "2026-09-30.endive";

/// From here on periods are on items alone, and an invoice names its subscription under `parent`.
const PARENTS_SINCE: &str = "2025-03-31";

/// Whether a version has the shape from before.
pub(super) fn is_old(version: &str) -> bool {
    version < PARENTS_SINCE
}

/// Whether it looks like a version at all.
pub(super) fn is_version(version: &str) -> bool {
    let bytes = version.as_bytes();
    bytes.len() >= 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && version[..4].bytes().all(|it| it.is_ascii_digit())
}

/// Gives every object within the shape from before.
pub(super) fn make_old(books: &Books, value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|it| make_old(books, it)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|it| make_old(books, it));
            match text(value, "object") {
                "invoice" => invoice(books, value),
                "subscription" => subscription(value),
                "line_item" => line(value),
                _ => {}
            }
        }
        _ => {}
    }
}

fn invoice(books: &Books, invoice: &mut Value) {
    let details = invoice["parent"]["subscription_details"].clone();
    let stored = books.find(text(invoice, "id"));
    let own = |key: &str| stored.map(|it| it[key].clone()).unwrap_or_default();
    let intent = own("_intent");
    let charge = intent.as_str().and_then(|id| books.find(id)).map(|it| it["latest_charge"].clone());
    invoice["subscription"] = details["subscription"].clone();
    invoice["subscription_details"] = json!({ "metadata": details["metadata"] });
    invoice["paid"] = (text(invoice, "status") == "paid").into();
    invoice["paid_out_of_band"] = own("_out_of_band").as_bool().unwrap_or_default().into();
    invoice["payment_intent"] = intent;
    invoice["charge"] = charge.unwrap_or_default();
    invoice["tax"] = Value::Null;
    drop_fields(invoice, &["parent", "payments", "confirmation_secret", "total_taxes", "amount_overpaid"]);
}

fn subscription(subscription: &mut Value) {
    let items = data(subscription, "items");
    let of = |key: &str| items.first().map(|it| it[key].clone()).unwrap_or_default();
    let (start, end) = (of("current_period_start"), of("current_period_end"));
    subscription["current_period_start"] = start;
    subscription["current_period_end"] = end;
}

fn line(line: &mut Value) {
    let details = line["parent"]["subscription_item_details"].clone();
    line["type"] = "subscription".into();
    line["proration"] = details["proration"].clone();
    line["subscription_item"] = details["subscription_item"].clone();
    line["price"] = json!({ "id": line["pricing"]["price_details"]["price"], "object": "price" });
    drop_fields(line, &["parent", "pricing", "taxes"]);
}

fn drop_fields(of: &mut Value, names: &[&str]) {
    if let Some(fields) = of.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}
