//! Items of a subscription: a price, a quantity, a period.

use serde_json::{Value, json};

use super::super::{
    failure::Failure,
    form::Params,
    ids,
    store::Books,
    value::{int, merge_metadata, text},
};

/// Items at most.
const MOST: usize = 20;

/// What a call wants an item to be.
#[derive(Clone, Debug)]
pub(in super::super) struct Wanted {
    pub(in super::super) price: Value,
    pub(in super::super) quantity: i64,
    pub(in super::super) metadata: Value,
}

/// The items that a call asks for, under that parameter.
pub(in super::super) fn wanted(books: &Books, params: &Params, name: &str) -> Result<Vec<Wanted>, Failure> {
    let count = params.count(name);
    if count == 0 || count > MOST {
        return Err(Failure::required(name));
    }
    let all: Vec<Wanted> = (0..count)
        .map(|place| {
            let at = |key: &str| format!("{name}.{place}.{key}");
            let price = recurring(books, params.required(&at("price"))?, &format!("{name}[{place}][price]"))?;
            let quantity = params.int(&at("quantity"))?.unwrap_or(1);
            if quantity < 0 {
                return Err(Failure::invalid(
                    &format!("{name}[{place}][quantity]"),
                    "Invalid non-negative integer",
                ));
            }
            Ok(Wanted { price, quantity, metadata: params.object(&at("metadata")) })
        })
        .collect::<Result<_, _>>()?;
    let currency = |it: &Wanted| text(&it.price, "currency").to_owned();
    if all.iter().any(|it| currency(it) != currency(&all[0])) {
        return Err(Failure::invalid(name, "All prices on a subscription must have the same currency."));
    }
    let interval = |it: &Wanted| it.price["recurring"].clone();
    if all.iter().any(|it| interval(it) != interval(&all[0])) {
        return Err(Failure::invalid(
            name,
            "The sandbox bills all items of a subscription at the same interval.",
        ));
    }
    Ok(all)
}

/// An active price that recurs.
pub(in super::super) fn recurring(books: &Books, id: &str, param: &str) -> Result<Value, Failure> {
    let price = books.get_for(param, "price", id)?;
    if price["active"] != true {
        let message =
            format!("The price specified is inactive. This field only accepts active prices: `{id}`.");
        return Err(Failure::invalid(param, &message));
    }
    if !price["recurring"].is_object() {
        let message = format!(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`: `{id}`."
        );
        return Err(Failure::invalid(param, &message));
    }
    Ok(price)
}

/// A new item of a subscription in that period.
pub(in super::super) fn make(wanted: &Wanted, subscription: &str, now: i64, period: (i64, i64)) -> Value {
    let mut item = json!({
        "id": ids::new("si"), "object": "subscription_item", "billing_thresholds": null, "created": now,
        "current_period_end": period.1, "current_period_start": period.0, "current_trial": null, "discounts": [],
        "metadata": {}, "quantity": wanted.quantity, "subscription": subscription, "tax_rates": [],
    });
    set_price(&mut item, &wanted.price);
    merge_metadata(&mut item["metadata"], Some(&wanted.metadata));
    item
}

/// Gives an item a price, and the plan that older callers know it by.
pub(in super::super) fn set_price(item: &mut Value, price: &Value) {
    let recurring = &price["recurring"];
    item["plan"] = json!({
        "id": price["id"], "object": "plan", "active": price["active"], "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"], "billing_scheme": "per_unit", "created": price["created"],
        "currency": price["currency"], "interval": recurring["interval"],
        "interval_count": recurring["interval_count"], "livemode": false, "metadata": price["metadata"],
        "meter": null, "nickname": price["nickname"], "product": price["product"], "tiers_mode": null,
        "transform_usage": null, "trial_period_days": null, "usage_type": "licensed",
    });
    item["price"] = super::super::value::shown(price);
}

/// What an item costs for a whole period, in the smallest unit.
pub(in super::super) fn amount(item: &Value) -> i64 {
    int(&item["price"], "unit_amount") * int(item, "quantity")
}
