//! Prices, and those that were asked for at the start.

use std::str::FromStr;

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::{Failure, Outcome},
    ids, list, products,
    store::Books,
    value::{merge_metadata, text},
};

/// Intervals that a price recurs in.
const INTERVALS: &[&str] = &["day", "week", "month", "year"];

/// A price that the sandbox has from the start: `ID=PLAN:AMOUNT_MINOR:CURRENCY`.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    id: String,
    plan: String,
    amount: i64,
    currency: String,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let parsed = || {
            let (id, rest) = given.split_once('=')?;
            let [plan, amount, currency] = rest.split(':').collect::<Vec<_>>().try_into().ok()?;
            let amount = amount.parse().ok().filter(|amount| *amount >= 0)?;
            let named = |it: &str| (!it.is_empty()).then(|| it.to_owned());
            Some(Self {
                id: named(id)?,
                plan: named(plan)?,
                amount,
                currency: named(currency)?.to_lowercase(),
            })
        };
        parsed().ok_or_else(|| {
            "is not ID=PLAN:AMOUNT_MINOR:CURRENCY, as in price_mc-small_eur=mc-small:499:eur".to_owned()
        })
    }
}

/// Adds a price of that id, and its product, unless they are there. One that is there has the new amount from now on.
pub(super) fn ensure(books: &mut Books, wanted: &Wanted) {
    let product = format!("prod_{}", wanted.plan);
    if books.find(&product).is_none() {
        let mut made = products::named(books, &product, &wanted.plan);
        made["metadata"]["plan"] = wanted.plan.as_str().into();
        books.insert(made);
    }
    let price = monthly(books, &wanted.id, &product, wanted.amount, &wanted.currency);
    if books.find(&wanted.id).is_some() {
        books.set(&wanted.id, |it| {
            for key in ["currency", "unit_amount", "unit_amount_decimal"] {
                it[key] = price[key].clone();
            }
        });
    } else {
        books.insert(price);
    }
}

fn monthly(books: &Books, id: &str, product: &str, amount: i64, currency: &str) -> Value {
    json!({
        "id": id, "object": "price", "active": true, "billing_scheme": "per_unit", "created": books.now,
        "currency": currency, "custom_unit_amount": null, "livemode": false, "lookup_key": null, "metadata": {},
        "nickname": null, "product": product,
        "recurring": {
            "interval": "month", "interval_count": 1, "meter": null, "trial_period_days": null, "usage_type": "licensed",
        },
        "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": null, "type": "recurring",
        "unit_amount": amount, "unit_amount_decimal": amount.to_string(),
    })
}

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&[
        "currency",
        "unit_amount",
        "product",
        "product_data",
        "recurring",
        "lookup_key",
        "transfer_lookup_key",
        "metadata",
        "nickname",
        "active",
        "tax_behavior",
        "billing_scheme",
    ])?;
    let currency = params.required("currency")?.to_lowercase();
    if currency.len() != 3 {
        return Err(Failure::invalid("currency", &format!("Invalid currency: {currency}.")));
    }
    let amount =
        params.int("unit_amount")?.filter(|it| *it >= 0).ok_or_else(|| Failure::required("unit_amount"))?;
    let interval = params.one_of("recurring.interval", INTERVALS)?;
    let count = params.int("recurring.interval_count")?.unwrap_or(1);
    let lookup = free_lookup_key(books, call)?;
    let product = product_for(books, call)?;
    let mut price = monthly(books, &ids::new("price"), &product, amount, &currency);
    if let Some(interval) = interval {
        price["recurring"]["interval"] = interval.into();
        price["recurring"]["interval_count"] = count.into();
    } else {
        price["recurring"] = Value::Null;
        price["type"] = "one_time".into();
    }
    price["lookup_key"] = lookup.into();
    price["active"] = params.flag("active")?.unwrap_or(true).into();
    price["nickname"] = params.text("nickname").into();
    merge_metadata(&mut price["metadata"], params.at("metadata"));
    let id = books.insert_with("price.created", price);
    books.get("price", &id)
}

fn product_for(books: &mut Books, call: &Call) -> Result<String, Failure> {
    if let Some(id) = call.params.text("product") {
        return Ok(text(&books.get_for("product", "product", id)?, "id").to_owned());
    }
    let name = call.params.text("product_data.name").ok_or_else(|| Failure::required("product"))?;
    let mut product = products::named(books, &ids::new("prod"), name);
    merge_metadata(&mut product["metadata"], call.params.at("product_data.metadata"));
    Ok(books.insert_with("product.created", product))
}

/// One price has a lookup key; another takes it over only on request.
fn free_lookup_key(books: &mut Books, call: &Call) -> Result<Option<String>, Failure> {
    let Some(key) = call.params.text("lookup_key") else { return Ok(None) };
    let holder =
        books.all("price").find(|it| text(it, "lookup_key") == key).map(|it| text(it, "id").to_owned());
    if let Some(holder) = holder {
        if call.params.flag("transfer_lookup_key")? != Some(true) {
            let message = format!("A price (`{holder}`) already uses that lookup key.");
            return Err(Failure::invalid("lookup_key", &message));
        }
        books.update("price.updated", &holder, |it| it["lookup_key"] = Value::Null);
    }
    Ok(Some(key.to_owned()))
}

pub(super) fn change(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&[
        "active",
        "metadata",
        "nickname",
        "lookup_key",
        "transfer_lookup_key",
        "tax_behavior",
    ])?;
    books.get("price", id)?;
    let active = call.params.flag("active")?;
    let lookup = free_lookup_key(books, call)?;
    books.update("price.updated", id, |price| {
        if let Some(active) = active {
            price["active"] = active.into();
        }
        if let Some(key) = lookup {
            price["lookup_key"] = key.into();
        }
        if let Some(nickname) = call.params.text("nickname") {
            price["nickname"] = nickname.into();
        }
        merge_metadata(&mut price["metadata"], call.params.at("metadata"));
    });
    books.get("price", id)
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&list::with(&["active", "product", "lookup_keys", "currency", "type"]))?;
    let (active, keys) = (params.flag("active")?, params.texts("lookup_keys"));
    let is_wanted = |it: &&Value| {
        active.is_none_or(|active| it["active"] == active)
            && (keys.is_empty() || keys.contains(&text(it, "lookup_key")))
            && ["product", "currency", "type"]
                .iter()
                .all(|key| params.text(key).is_none_or(|wanted| text(it, key) == wanted))
    };
    list::page(call, books.all("price").rev().filter(is_wanted))
}
