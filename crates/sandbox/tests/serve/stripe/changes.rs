//! Changes of a subscription in the middle of its period.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{DAY, LARGE, SMALL, Stripe, id};

async fn upgrade(stripe: &Stripe, subscription: &Value, behavior: &str) -> reqwest::Response {
    let item = id(&subscription["items"]["data"][0]).to_owned();
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", LARGE),
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", behavior),
        ("expand[]", "latest_invoice"),
    ];
    stripe.try_post(&format!("subscriptions/{}", id(subscription)), &form).await
}

fn price(subscription: &Value) -> &str {
    id(&subscription["items"]["data"][0]["price"])
}

#[tokio::test]
async fn an_upgrade_is_paid_for_the_rest_of_the_period() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let item = &subscription["items"]["data"][0];
    let (start, end) =
        (item["current_period_start"].as_i64().unwrap(), item["current_period_end"].as_i64().unwrap());
    stripe.pass(&subscription, (end - start) / 2).await;
    let upgraded = super::good(upgrade(&stripe, &subscription, "pending_if_incomplete").await).await;
    assert_eq!((price(&upgraded), &upgraded["pending_update"]), (LARGE, &Value::Null));
    let invoice = &upgraded["latest_invoice"];
    let lines = invoice["lines"]["data"].as_array().unwrap();
    let amounts: Vec<i64> = lines.iter().map(|it| it["amount"].as_i64().unwrap()).collect();
    // Half of 4.99 back, half of 9.98 to pay; a second or two of the machine's time more or less.
    assert!((-251..=-248).contains(&amounts[0]) && (497..=500).contains(&amounts[1]), "{amounts:?}");
    assert_eq!(lines[0]["parent"]["subscription_item_details"]["proration"], true);
    assert_eq!(
        (&invoice["status"], &invoice["billing_reason"]),
        (&json!("paid"), &json!("subscription_update"))
    );
    assert_eq!(invoice["amount_paid"], amounts[0] + amounts[1]);
    assert_eq!(upgraded["items"]["data"][0]["current_period_end"], end);

    // Back again: what is left is kept for the next invoice.
    let form =
        [("items[0][id]", id(item)), ("items[0][price]", SMALL), ("proration_behavior", "always_invoice")];
    stripe.post(&format!("subscriptions/{}", id(&subscription)), &form).await;
    let customer = stripe.get(&format!("customers/{}", subscription["customer"].as_str().unwrap())).await;
    let credit = customer["balance"].as_i64().unwrap();
    assert!((-251..=-248).contains(&credit), "{credit}");
    stripe.pass(&subscription, end - start).await;
    let renewal = stripe.subscription(&subscription).await["latest_invoice"].clone();
    assert_eq!((&renewal["total"], &renewal["amount_paid"]), (&json!(499), &json!(499 + credit)));
}

#[tokio::test]
async fn an_upgrade_that_is_not_paid_is_refused_or_waits() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    stripe.change_card(&subscription, "pm_card_chargeCustomerFail").await;
    let refused = upgrade(&stripe, &subscription, "error_if_incomplete").await;
    assert_eq!(refused.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["decline_code"], "generic_decline");
    let after = stripe.subscription(&subscription).await;
    assert_eq!((price(&after), &after["latest_invoice"]["id"]), (SMALL, &subscription["latest_invoice"]));

    let waiting = super::good(upgrade(&stripe, &subscription, "pending_if_incomplete").await).await;
    assert_eq!((price(&waiting), &waiting["status"]), (SMALL, &json!("active")));
    let pending = &waiting["pending_update"];
    assert_eq!(id(&pending["subscription_items"][0]["price"]), LARGE);
    let created = waiting["latest_invoice"]["created"].as_i64().unwrap();
    assert_eq!(pending["expires_at"], created + 23 * 3_600);
    stripe.pass(&subscription, DAY).await;
    let dropped = stripe.subscription(&subscription).await;
    assert_eq!(
        (price(&dropped), &dropped["pending_update"], &dropped["status"]),
        (SMALL, &Value::Null, &json!("active"))
    );
    assert_eq!(dropped["latest_invoice"]["status"], "void");

    let again = super::good(upgrade(&stripe, &subscription, "pending_if_incomplete").await).await;
    let page = again["latest_invoice"]["hosted_invoice_url"].as_str().unwrap();
    assert_eq!(stripe.press(page, &[("do", "pay")]).await.status(), StatusCode::SEE_OTHER);
    let applied = stripe.subscription(&subscription).await;
    assert_eq!((price(&applied), &applied["pending_update"]), (LARGE, &Value::Null));
    let told = stripe.told().await;
    for kind in
        ["customer.subscription.pending_update_expired", "customer.subscription.pending_update_applied"]
    {
        assert!(told.contains(&kind.to_owned()), "{kind}");
    }
}

#[tokio::test]
async fn an_unpaid_upgrade_that_is_allowed_is_past_due() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    stripe.change_card(&subscription, "pm_card_chargeCustomerFail").await;
    let after = super::good(upgrade(&stripe, &subscription, "allow_incomplete").await).await;
    assert_eq!((price(&after), &after["status"]), (LARGE, &json!("past_due")));
}

#[tokio::test]
async fn what_is_prorated_later_is_on_the_next_invoice() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let path = format!("subscriptions/{}", id(&subscription));
    let item = id(&subscription["items"]["data"][0]).to_owned();
    let with = |behavior: &'static str, quantity: &'static str| {
        [
            ("items[0][id]", item.clone()),
            ("items[0][quantity]", quantity.to_owned()),
            ("proration_behavior", behavior.to_owned()),
        ]
    };
    let post = async |form: [(&str, String); 3]| {
        let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        stripe.post(&path, &form).await
    };
    assert_eq!(post(with("none", "2")).await["latest_invoice"], subscription["latest_invoice"]);
    stripe.pass(&subscription, 10 * DAY).await;
    assert_eq!(post(with("create_prorations", "3")).await["latest_invoice"], subscription["latest_invoice"]);
    stripe.pass(&subscription, 22 * DAY).await;
    let renewal = stripe.subscription(&subscription).await["latest_invoice"].clone();
    let lines = renewal["lines"]["data"].as_array().unwrap();
    let prorated = |it: &&Value| it["parent"]["subscription_item_details"]["proration"] == true;
    assert_eq!((lines.len(), lines.iter().filter(prorated).count()), (3, 2));
    assert_eq!(lines[0]["amount"], 3 * 499);

    let (status, error) =
        stripe.refused(&path, &[("items[0][id]", &item), ("items[0][deleted]", "true")]).await;
    assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("items")));
}
