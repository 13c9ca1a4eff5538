//! Products.

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::{Failure, Outcome},
    form::Params,
    ids, list,
    store::Books,
    value::{merge_metadata, text},
};

const KNOWN: &[&str] =
    &["name", "active", "description", "metadata", "images", "statement_descriptor", "unit_label", "url"];

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    call.params.only(&[KNOWN, &["id"]].concat())?;
    let name = call.params.required("name")?;
    let id = call.params.text("id").map_or_else(|| ids::new("prod"), str::to_owned);
    if books.find(&id).is_some() {
        return Err(Failure::refused("resource_already_exists", "Product already exists."));
    }
    let mut product = named(books, &id, name);
    apply(&mut product, &call.params)?;
    books.insert_with("product.created", product);
    books.get("product", &id)
}

/// A product of this name.
pub(super) fn named(books: &Books, id: &str, name: &str) -> Value {
    json!({
        "id": id, "object": "product", "active": true, "created": books.now, "default_price": null,
        "description": null, "images": [], "livemode": false, "marketing_features": [], "metadata": {}, "name": name,
        "package_dimensions": null, "shippable": null, "statement_descriptor": null, "tax_code": null,
        "tax_details": null, "type": "service", "unit_label": null, "updated": books.now, "url": null,
    })
}

fn apply(product: &mut Value, params: &Params) -> Result<(), Failure> {
    for key in ["name", "description", "statement_descriptor", "unit_label", "url"] {
        if params.is_unset(key) && key != "name" {
            product[key] = Value::Null;
        } else if let Some(value) = params.text(key) {
            product[key] = value.into();
        }
    }
    if let Some(active) = params.flag("active")? {
        product["active"] = active.into();
    }
    if params.at("images").is_some() {
        product["images"] = json!(params.texts("images"));
    }
    merge_metadata(&mut product["metadata"], params.at("metadata"));
    Ok(())
}

pub(super) fn change(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(KNOWN)?;
    let mut product = books.get("product", id)?;
    apply(&mut product, &call.params)?;
    product["updated"] = books.now.into();
    books.update("product.updated", id, |it| *it = product);
    books.get("product", id)
}

pub(super) fn delete(books: &mut Books, id: &str) -> Outcome {
    books.get("product", id)?;
    if books.all("price").any(|it| text(it, "product") == id) {
        let message = "This product cannot be deleted because it has one or more user-created prices.";
        return Err(Failure::invalid("id", message));
    }
    books.tell("product.deleted", id);
    books.remove(id);
    Ok(json!({ "id": id, "object": "product", "deleted": true }))
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&["active", "ids"]))?;
    let (active, ids) = (call.params.flag("active")?, call.params.texts("ids"));
    let is_wanted = |it: &&Value| {
        active.is_none_or(|active| it["active"] == active)
            && (ids.is_empty() || ids.contains(&text(it, "id")))
    };
    list::page(call, books.all("product").rev().filter(is_wanted))
}
