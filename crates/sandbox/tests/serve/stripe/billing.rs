//! Purchases, renewals and their ends.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{DAY, SMALL, Stripe, good, id};

#[tokio::test]
async fn a_purchase_tells_of_everything_and_leads_back() {
    let stripe = Stripe::start();
    let session = stripe.checkout(&stripe.customer().await).await;
    assert_eq!((&session["status"], &session["payment_status"]), (&json!("open"), &json!("unpaid")));
    let page = session["url"].as_str().unwrap();

    let declined = stripe.press(page, &[("do", "decline")]).await;
    assert_eq!(declined.status(), StatusCode::OK);
    assert!(declined.text().await.unwrap().contains("role=\"alert\""));
    assert_eq!(stripe.get("subscriptions").await["data"], json!([]));

    let paid = stripe.press(page, &[("do", "pay")]).await;
    let back = format!("http://shop.example/done?session={}", id(&session));
    assert_eq!(paid.headers()["Location"], back.as_str());
    let session = stripe
        .get(&format!("checkout/sessions/{}?expand[]=subscription&expand[]=invoice", id(&session)))
        .await;
    assert_eq!((&session["status"], &session["payment_status"]), (&json!("complete"), &json!("paid")));
    let (subscription, invoice) = (&session["subscription"], &session["invoice"]);
    assert_eq!(subscription["status"], "active");
    assert_eq!(subscription["metadata"], json!({ "server": "demo" }));
    assert_eq!((&invoice["status"], &invoice["amount_paid"]), (&json!("paid"), &json!(499)));
    assert_eq!(invoice["billing_reason"], "subscription_create");
    let told = stripe.told().await;
    let mut place = 0;
    for kind in [
        "customer.created",
        "payment_method.attached",
        "invoice.created",
        "customer.subscription.created",
        "invoice.finalized",
        "charge.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ] {
        place +=
            told[place..].iter().position(|it| it == kind).unwrap_or_else(|| panic!("{kind} in {told:?}"));
    }
    // It is over: a second press buys nothing.
    assert_eq!(stripe.press(page, &[("do", "pay")]).await.status(), StatusCode::GONE);
    assert_eq!(stripe.get("subscriptions").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_expires_by_call_and_by_time() {
    let stripe = Stripe::start();
    let customer = stripe.customer().await;
    let (one, other) = (stripe.checkout(&customer).await, stripe.checkout(&customer).await);
    let expired = stripe.post(&format!("checkout/sessions/{}/expire", id(&one)), &[]).await;
    assert_eq!((&expired["status"], &expired["url"]), (&json!("expired"), &Value::Null));
    stripe.pass(&customer, DAY - 60).await;
    let path = format!("checkout/sessions/{}", id(&other));
    assert_eq!(stripe.get(&path).await["status"], "open");
    stripe.pass(&customer, 60).await;
    assert_eq!(stripe.get(&path).await["status"], "expired");
    assert_eq!(stripe.told().await.iter().filter(|it| *it == "checkout.session.expired").count(), 2);

    // The machine's time is good as well for a customer whose clock is a month ahead.
    stripe.pass(&customer, 30 * DAY).await;
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let until = async |at: i64| {
        let at = at.to_string();
        let form = [
            ("mode", "subscription"),
            ("customer", id(&customer)),
            ("line_items[0][price]", SMALL),
            ("success_url", "http://shop.example/done"),
            ("expires_at", &at),
        ];
        stripe.try_post("checkout/sessions", &form).await
    };
    let open = good(until(now + 3_600).await).await;
    assert_eq!((&open["expires_at"], &open["status"]), (&json!(now + 3_600), &json!("open")));
    assert_eq!(until(now + 60).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_direct_debit_takes_days_and_may_come_back() {
    let stripe = Stripe::start();
    for (fails, payment, status, event) in [
        (false, "paid", "active", "checkout.session.async_payment_succeeded"),
        (true, "unpaid", "past_due", "checkout.session.async_payment_failed"),
    ] {
        stripe.switch(json!({ "debit_fails": fails })).await;
        let session = stripe.bought_with("debit").await;
        assert_eq!((&session["status"], &session["payment_status"]), (&json!("complete"), &json!("unpaid")));
        let subscription =
            stripe.get(&format!("subscriptions/{}", session["subscription"].as_str().unwrap())).await;
        assert_eq!(subscription["status"], "active");
        stripe.pass(&subscription, 3 * DAY - 60).await;
        assert!(!stripe.told().await.contains(&event.to_owned()));

        stripe.pass(&subscription, 60).await;

        let session = stripe.get(&format!("checkout/sessions/{}", id(&session))).await;
        assert_eq!(session["payment_status"], payment);
        assert_eq!(stripe.subscription(&subscription).await["status"], status);
        assert!(stripe.told().await.contains(&event.to_owned()), "{event}");
    }
}

#[tokio::test]
async fn a_renewal_is_a_draft_for_an_hour_and_then_paid() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let end = subscription["items"]["data"][0]["current_period_end"].as_i64().unwrap();
    let clock = format!("test_helpers/test_clocks/{}", subscription["test_clock"].as_str().unwrap());
    let now = stripe.get(&clock).await["frozen_time"].as_i64().unwrap();
    stripe.pass(&subscription, end - now + 60).await;
    let renewed = stripe.subscription(&subscription).await;
    let item = &renewed["items"]["data"][0];
    assert_eq!((&renewed["status"], item["current_period_start"].as_i64()), (&json!("active"), Some(end)));
    let draft = &renewed["latest_invoice"];
    assert_eq!((&draft["status"], &draft["billing_reason"]), (&json!("draft"), &json!("subscription_cycle")));
    assert_eq!(draft["automatically_finalizes_at"], end + 3_600);
    assert_eq!((&draft["number"], &draft["hosted_invoice_url"]), (&Value::Null, &Value::Null));

    stripe.pass(&subscription, 3_600).await;

    let paid = stripe.subscription(&subscription).await["latest_invoice"].clone();
    assert_eq!((&paid["id"], &paid["status"]), (&draft["id"], &json!("paid")));
    assert_eq!(paid["status_transitions"]["finalized_at"], end + 3_600);
    assert_eq!(paid["attempt_count"], 1);
    let line = &paid["lines"]["data"][0];
    assert_eq!((&line["period"]["start"], &line["amount"]), (&json!(end), &json!(499)));
}

#[tokio::test]
async fn a_first_payment_that_fails_leaves_an_incomplete_subscription_for_23_hours() {
    let stripe = Stripe::start();
    let customer = stripe.customer().await;
    let card = "pm_card_authenticationRequired";
    let form = [("customer", id(&customer)), ("items[0][price]", SMALL), ("default_payment_method", card)];
    let strict = [&form[..], &[("payment_behavior", "error_if_incomplete")]].concat();
    let (status, error) = stripe.refused("subscriptions", &strict).await;
    assert_eq!((status, &error["type"]), (StatusCode::PAYMENT_REQUIRED, &json!("card_error")));
    assert_eq!(stripe.get("subscriptions?status=all").await["data"], json!([]));

    let subscription = stripe.post("subscriptions", &form).await;
    assert_eq!(subscription["status"], "incomplete");
    assert!(stripe.told().await.contains(&"invoice.payment_action_required".to_owned()));
    let path = format!("subscriptions/{}?expand[]=latest_invoice.confirmation_secret", id(&subscription));
    let secret = stripe.get(&path).await["latest_invoice"]["confirmation_secret"]["client_secret"].clone();
    assert!(secret.as_str().unwrap().starts_with("pi_"), "{secret}");

    stripe.pass(&subscription, 23 * 3_600).await;

    let expired = stripe.subscription(&subscription).await;
    assert_eq!(
        (&expired["status"], &expired["latest_invoice"]["status"]),
        (&json!("incomplete_expired"), &json!("void"))
    );
}

#[tokio::test]
async fn a_trial_is_told_of_before_its_end_and_pauses_without_a_card() {
    let stripe = Stripe::start();
    let customer = stripe.customer().await;
    let form = [
        ("customer", id(&customer)),
        ("items[0][price]", SMALL),
        ("trial_period_days", "14"),
        ("trial_settings[end_behavior][missing_payment_method]", "pause"),
    ];
    let subscription = stripe.post("subscriptions", &form).await;
    assert_eq!(subscription["status"], "trialing");
    stripe.pass(&subscription, 11 * DAY).await;
    assert!(stripe.told().await.contains(&"customer.subscription.trial_will_end".to_owned()));
    stripe.pass(&subscription, 3 * DAY).await;
    assert_eq!(stripe.subscription(&subscription).await["status"], "paused");
    assert_eq!(stripe.told().await.last().unwrap(), "test_helpers.test_clock.ready");

    stripe.change_card(&subscription, "pm_card_visa").await;
    let resumed = stripe.post(&format!("subscriptions/{}/resume", id(&subscription)), &[]).await;

    assert_eq!(resumed["status"], "active");
    let told = stripe.told().await;
    for kind in ["customer.subscription.paused", "customer.subscription.resumed"] {
        assert!(told.contains(&kind.to_owned()), "{kind}");
    }
}

#[tokio::test]
async fn subscriptions_end_with_their_period_at_once_or_with_their_customer() {
    let stripe = Stripe::start();
    let (one, two, three) = (stripe.bought().await, stripe.bought().await, stripe.bought().await);
    let ending =
        stripe.post(&format!("subscriptions/{}", id(&one)), &[("cancel_at_period_end", "true")]).await;
    assert_eq!(ending["cancel_at"], one["items"]["data"][0]["current_period_end"]);
    assert_eq!(ending["status"], "active");
    stripe.pass(&one, 32 * DAY).await;
    let ended = stripe.subscription(&one).await;
    assert_eq!((&ended["status"], &ended["ended_at"]), (&json!("canceled"), &ending["cancel_at"]));
    assert_eq!(ended["latest_invoice"]["id"], one["latest_invoice"], "nothing was billed for another month");

    assert_eq!(stripe.delete(&format!("subscriptions/{}", id(&two))).await["status"], "canceled");

    let customer = format!("customers/{}", three["customer"].as_str().unwrap());
    assert_eq!(stripe.delete(&customer).await["deleted"], true);
    let gone = stripe.get(&customer).await;
    assert_eq!(gone, json!({ "id": three["customer"], "object": "customer", "deleted": true }));
    assert_eq!(stripe.subscription(&three).await["status"], "canceled");
    let told = stripe.told().await;
    let last: Vec<&str> = told.iter().rev().take(2).map(String::as_str).collect();
    assert_eq!(last, ["customer.subscription.deleted", "customer.deleted"]);
}

#[tokio::test]
async fn a_paused_collection_leaves_the_status_and_collects_nothing() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let path = format!("subscriptions/{}", id(&subscription));
    let paused = stripe.post(&path, &[("pause_collection[behavior]", "void")]).await;
    assert_eq!(
        (&paused["status"], &paused["pause_collection"]["behavior"]),
        (&json!("active"), &json!("void"))
    );
    stripe.pass(&subscription, 32 * DAY).await;
    let later = stripe.subscription(&subscription).await;
    assert_eq!((&later["status"], &later["latest_invoice"]["status"]), (&json!("active"), &json!("void")));
    let on = stripe.post(&path, &[("pause_collection", "")]).await;
    assert_eq!(on["pause_collection"], Value::Null);
    let events = stripe.get("events?type=customer.subscription.updated&limit=1").await;
    let previous = &events["data"][0]["data"]["previous_attributes"];
    assert_eq!(previous["pause_collection"]["behavior"], "void");
}

#[tokio::test]
async fn time_goes_on_by_itself_without_a_test_clock() {
    let stripe = Stripe::start();
    stripe.switch(json!({ "clock_per_customer": false })).await;
    let subscription = stripe.bought().await;
    assert_eq!(subscription["test_clock"], Value::Null);
    let path = format!("subscriptions/{}", id(&subscription));
    // A trial until now ends at once; its renewal is billed by the machine's time.
    stripe.post(&path, &[("trial_end", "now")]).await;
    let renewed = super::eventually(async || {
        let now = stripe.subscription(&subscription).await;
        (now["latest_invoice"]["billing_reason"] == "subscription_cycle").then_some(now)
    });
    assert_eq!(renewed.await["latest_invoice"]["status"], "draft");
    let panel = format!("{}/_panel/{}", stripe.base, subscription["customer"].as_str().unwrap());
    let answer = stripe.press(&panel, &[("do", "1d")]).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_clock_of_a_callers_own_hides_what_it_has_from_lists() {
    let stripe = Stripe::start();
    let clock =
        stripe.post("test_helpers/test_clocks", &[("frozen_time", "1800000000"), ("name", "x")]).await;
    let customer = stripe.post("customers", &[("test_clock", id(&clock))]).await;
    assert_eq!(customer["created"], 1_800_000_000);
    assert_eq!(stripe.get("customers").await["data"], json!([]));
    let found = stripe.get(&format!("customers?test_clock={}", id(&clock))).await;
    assert_eq!(found["data"][0]["id"], customer["id"]);
    let path = format!("test_helpers/test_clocks/{}", id(&clock));
    let (status, _) = stripe.refused(&format!("{path}/advance"), &[("frozen_time", "1700000000")]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(stripe.delete(&path).await["deleted"], true);
    let gone = stripe.request(reqwest::Method::GET, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        good(
            stripe
                .request(reqwest::Method::GET, &format!("customers/{}", id(&customer)))
                .send()
                .await
                .unwrap()
        )
        .await["deleted"],
        true
    );
}
