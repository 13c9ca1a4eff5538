//! Deliveries of events, as they should be and as they should not.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    Stripe, eventually, good, id,
    receiver::{Receiver, connected},
};

const SECRET: &str = "whsec_sandbox";

async fn deliveries(stripe: &Stripe) -> Vec<Value> {
    let url = format!("{}/_deliveries", stripe.base);
    good(stripe.sandbox.client.get(url).send().await.unwrap()).await.as_array().unwrap().clone()
}

#[tokio::test]
async fn events_are_signed_and_come_in_order() {
    let (stripe, receiver) = connected().await;
    let customer = stripe.customer().await;
    stripe.post(&format!("customers/{}", id(&customer)), &[("name", "Ada")]).await;
    let letters = receiver.wait_for(2).await;
    assert_eq!(receiver.kinds(), ["customer.created", "customer.updated"]);
    assert!(letters.iter().all(|it| it.is_signed_with(SECRET)));
    assert!(!letters[0].is_signed_with("whsec_other"));
    assert!(letters[0].body.starts_with("{\n  \""), "indented by two spaces");
    let event = letters[1].event();
    assert_eq!(event["data"]["previous_attributes"], json!({ "name": null }));
    assert_eq!(event["data"]["object"]["name"], "Ada");
    assert!(event["request"]["id"].as_str().unwrap().starts_with("req_"));
    let kept = eventually(async || {
        let kept = stripe.get(&format!("events/{}", letters[1].id())).await;
        (kept["pending_webhooks"] == 0).then_some(kept)
    });
    assert_eq!(kept.await["data"], event["data"]);
}

#[tokio::test]
async fn what_is_not_answered_well_comes_again_until_the_endpoint_is_disabled() {
    let (stripe, receiver) = connected().await;
    stripe.switch(json!({ "delivery_pauses_ms": [10, 20], "disable_after_ms": 0 })).await;
    receiver.answer([500, 302, 200]);
    stripe.customer().await;
    let letters = receiver.wait_for(3).await;
    assert_eq!(letters[0].id(), letters[2].id());
    eventually(async || (deliveries(&stripe).await[0]["state"] == "delivered").then_some(())).await;
    assert_eq!(deliveries(&stripe).await[0]["attempts"], 3);

    // One that failed once, though the endpoint answered well a moment ago, disables nothing.
    let path = "webhook_endpoints/we_sandbox";
    stripe.switch(json!({ "disable_after_ms": 60_000 })).await;
    receiver.answer([500, 500, 500]);
    stripe.customer().await;
    eventually(async || (deliveries(&stripe).await[1]["state"] == "failed").then_some(())).await;
    assert_eq!(stripe.get(path).await["status"], "enabled");

    stripe.switch(json!({ "disable_after_ms": 0 })).await;
    receiver.answer([500, 500, 500]);
    stripe.customer().await;
    eventually(async || (stripe.get(path).await["status"] == "disabled").then_some(())).await;
    stripe.customer().await;
    assert_eq!(receiver.letters().len(), 9);
    assert_eq!(deliveries(&stripe).await.len(), 3, "a disabled endpoint is told nothing");
    assert_eq!(stripe.post(path, &[("disabled", "false")]).await["status"], "enabled");
    stripe.customer().await;
    receiver.wait_for(10).await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_not_waited_for() {
    let (stripe, _) = connected().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    stripe.switch(json!({ "answer_ms": 50, "delivery_pauses_ms": [] })).await;
    stripe.post("webhook_endpoints", &[("url", &url), ("enabled_events[]", "*")]).await;
    stripe.customer().await;
    let failed =
        eventually(async || deliveries(&stripe).await.into_iter().find(|it| it["state"] == "failed"));
    assert_eq!(failed.await["error"], "no answer in time");
}

#[tokio::test]
async fn deliveries_are_doubled_lost_held_back_and_turned_round() {
    let (stripe, receiver) = connected().await;
    stripe.switch(json!({ "drop_next": 1 })).await;
    stripe.customer().await;
    stripe.switch(json!({ "twice": true })).await;
    stripe.customer().await;
    let letters = receiver.wait_for(2).await;
    assert_eq!(letters[0].id(), letters[1].id());
    let lost = deliveries(&stripe).await[0].clone();
    assert_eq!(lost["state"], "dropped");
    let event = lost["event"].as_str().unwrap();
    assert_eq!(stripe.control(&format!("_redeliver/{event}"), json!({})).await["deliveries"], 1);
    assert_eq!(receiver.wait_for(3).await[2].id(), event);

    stripe.switch(json!({ "twice": false, "hold": true, "reverse": true })).await;
    let customer = stripe.customer().await;
    for name in ["one", "two"] {
        stripe.post(&format!("customers/{}", id(&customer)), &[("name", name)]).await;
    }
    assert_eq!(receiver.letters().len(), 3);
    stripe.switch(json!({ "hold": false })).await;
    let names: Vec<Value> = receiver.wait_for(6).await[3..]
        .iter()
        .map(|it| it.event()["data"]["object"]["name"].clone())
        .collect();
    assert_eq!(names, [json!("two"), json!("one"), Value::Null]);
}

#[tokio::test]
async fn shuffled_deliveries_all_arrive_in_another_order() {
    let (stripe, receiver) = connected().await;
    stripe.switch(json!({ "shuffle_ms": 300 })).await;
    let mut made = Vec::new();
    for _ in 0..12 {
        made.push(id(&stripe.customer().await).to_owned());
    }
    let came: Vec<String> =
        receiver.wait_for(12).await.iter().map(|it| id(&it.event()["data"]["object"]).to_owned()).collect();
    // One order in 479 million is the old one.
    assert_ne!(came, made);
    let (mut came, mut made) = (came, made);
    came.sort();
    made.sort();
    assert_eq!(came, made);
}

#[tokio::test]
async fn events_have_other_versions_shapes_and_types_on_request() {
    let (stripe, receiver) = connected().await;
    stripe.switch(json!({ "api_version": "2031-01-01.zebra", "unknown_type": "galaxy.folded" })).await;
    stripe.customer().await;
    let letters = receiver.wait_for(2).await;
    assert_eq!(letters[0].event()["api_version"], "2031-01-01.zebra");
    assert_eq!(receiver.kinds(), ["customer.created", "galaxy.folded"]);

    stripe.switch(json!({ "api_version": "2024-06-20", "unknown_type": null })).await;
    let subscription = stripe.bought().await;
    let paid =
        eventually(async || receiver.letters().into_iter().find(|it| it.kind() == "invoice.paid")).await;
    let invoice = paid.event()["data"]["object"].clone();
    assert_eq!((&invoice["subscription"], &invoice["paid"]), (&subscription["id"], &json!(true)));
    assert_eq!(invoice.get("parent"), None);
    assert!(paid.is_signed_with(SECRET));

    let url = format!("{}/_switches", stripe.base);
    let wrong = stripe.sandbox.client.post(url).json(&json!({ "twise": true })).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_proxy_that_writes_the_json_anew_breaks_the_signature() {
    let (stripe, receiver) = connected().await;
    stripe.switch(json!({ "minified": true })).await;
    stripe.customer().await;
    let letter = receiver.wait_for(1).await.remove(0);
    assert!(!letter.body.contains('\n'));
    assert!(!letter.is_signed_with(SECRET));
    let signed = serde_json::to_string_pretty(&letter.event()).unwrap();
    assert!(super::receiver::Letter { body: signed, ..letter }.is_signed_with(SECRET));
}

#[tokio::test]
async fn an_endpoint_gets_the_types_that_it_asks_for_and_shows_its_secret_once() {
    let stripe = Stripe::start();
    let receiver = Receiver::start().await;
    let form = [
        ("url", receiver.url.as_str()),
        ("enabled_events[]", "customer.deleted"),
        ("api_version", "2024-06-20"),
    ];
    let endpoint = stripe.post("webhook_endpoints", &form).await;
    let secret = endpoint["secret"].as_str().unwrap();
    let path = format!("webhook_endpoints/{}", id(&endpoint));
    assert_eq!(stripe.get(&path).await.get("secret"), None);
    let customer = stripe.customer().await;
    stripe.delete(&format!("customers/{}", id(&customer))).await;
    let letters = receiver.wait_for(1).await;
    assert_eq!(receiver.kinds(), ["customer.deleted"]);
    assert!(letters[0].is_signed_with(secret));
    assert_eq!(letters[0].event()["api_version"], "2024-06-20");
    assert_eq!(stripe.delete(&path).await["deleted"], true);
}
