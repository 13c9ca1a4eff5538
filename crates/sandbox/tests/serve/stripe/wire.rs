//! What every call has in common: keys, versions, errors, idempotency, pages, faults.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{SMALL, Stripe, good, id};

#[tokio::test]
async fn a_call_needs_the_key_as_a_bearer_or_as_a_user() {
    let stripe = Stripe::start();
    let url = format!("{}/v1/customers", stripe.base);
    let client = &stripe.sandbox.client;
    let without = client.get(&url).send().await.unwrap();
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
    let wrong = client.get(&url).bearer_auth("sk_test_other").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.json::<Value>().await.unwrap()["error"]["type"], "invalid_request_error");

    let basic = client.get(&url).basic_auth("sk_test_sandbox", Some("")).send().await.unwrap();

    assert!(basic.headers()["Request-Id"].to_str().unwrap().starts_with("req_"));
    assert_eq!(basic.headers()["Stripe-Version"], "2026-09-30.endive");
    let text = basic.text().await.unwrap();
    assert!(text.starts_with("{\n  \""), "indented by two spaces: {text}");
}

#[tokio::test]
async fn refusals_say_what_is_wrong_with_which_parameter() {
    let stripe = Stripe::start();
    for (path, form, status, code, param) in [
        ("customers", vec![("emial", "a")], 400, json!("parameter_unknown"), json!("emial")),
        ("products", vec![], 400, json!("parameter_missing"), json!("name")),
        ("subscriptions/sub_none", vec![], 404, json!("resource_missing"), json!("id")),
        (
            "billing_portal/sessions",
            vec![("customer", "cus_none")],
            400,
            json!("resource_missing"),
            json!("customer"),
        ),
        ("customers?limit=0", vec![], 400, Value::Null, json!("limit")),
        ("nothing", vec![], 404, Value::Null, Value::Null),
    ] {
        let answer = if path.contains('?') {
            stripe.request(Method::GET, path).send().await.unwrap()
        } else {
            stripe.try_post(path, &form).await
        };
        assert_eq!(answer.status(), status, "{path}");
        let request = answer.headers()["Request-Id"].to_str().unwrap().to_owned();
        let error = answer.json::<Value>().await.unwrap()["error"].clone();
        assert_eq!((&error["code"], &error["param"]), (&code, &param), "{path}: {error}");
        assert!(error["request_log_url"].as_str().unwrap().ends_with(&request));
    }
}

#[tokio::test]
async fn a_key_that_was_used_gives_the_same_answer_or_none() {
    let stripe = Stripe::start();
    let call = |path: &str, email: &'static str| {
        let request = stripe.request(Method::POST, path).header("Idempotency-Key", "one");
        request.form(&[("email", email)]).send()
    };
    let first = good(call("customers", "a@example.org").await.unwrap()).await;
    let again = call("customers", "a@example.org").await.unwrap();
    assert_eq!(again.headers()["Idempotent-Replayed"], "true");
    assert_eq!(good(again).await, first);

    for (path, email, said) in
        [("customers", "b@example.org", "same parameters"), ("products", "a@example.org", "same endpoint")]
    {
        let other = call(path, email).await.unwrap();
        assert_eq!(other.status(), StatusCode::BAD_REQUEST);
        let error = other.json::<Value>().await.unwrap()["error"].clone();
        assert_eq!(error["type"], "idempotency_error");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    assert_eq!(stripe.get("customers").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_in_use_while_its_call_is_under_way() {
    let stripe = Stripe::start();
    stripe.switch(json!({ "busy_ms": 400 })).await;
    let call = || {
        let request = stripe.request(Method::POST, "customers").header("Idempotency-Key", "two");
        request.form(&[("email", "a@example.org")]).send()
    };
    let answers = [call(), call()];
    let [one, other] = answers;
    let (one, other) = futures_util::future::join(one, other).await;
    let mut answers = [one.unwrap(), other.unwrap()];
    answers.sort_by_key(reqwest::Response::status);
    let [done, refused] = answers;
    assert_eq!((done.status(), refused.status()), (StatusCode::OK, StatusCode::CONFLICT));
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "idempotency_key_in_use");
    // Then it has the answer.
    assert_eq!(good(call().await.unwrap()).await, good(done).await);
}

#[tokio::test]
async fn lists_come_in_pages_newest_first() {
    let stripe = Stripe::start();
    let mut made = Vec::new();
    for number in 0..5 {
        let email = format!("{number}@example.org");
        made.push(id(&stripe.post("customers", &[("email", &email)]).await).to_owned());
    }
    made.reverse();
    let ids = |list: &Value| -> Vec<String> {
        list["data"].as_array().unwrap().iter().map(|it| id(it).to_owned()).collect()
    };
    let first = stripe.get("customers?limit=2").await;
    assert_eq!((ids(&first), &first["has_more"]), (made[..2].to_vec(), &json!(true)));
    assert_eq!(first["url"], "/v1/customers");
    let second = stripe.get(&format!("customers?limit=3&starting_after={}", made[1])).await;
    assert_eq!((ids(&second), &second["has_more"]), (made[2..].to_vec(), &json!(false)));
    let before = stripe.get(&format!("customers?limit=2&ending_before={}", made[3])).await;
    assert_eq!((ids(&before), &before["has_more"]), (made[1..3].to_vec(), &json!(true)));
    let of_one = stripe.get("customers?email=3@example.org").await;
    assert_eq!(ids(&of_one), made[1..2]);
    let created = of_one["data"][0]["created"].as_i64().unwrap();
    let until = |bound: &str, at: i64| format!("customers?created[{bound}]={at}");
    assert_eq!(ids(&stripe.get(&until("gte", created + 60)).await), Vec::<String>::new());
    assert_eq!(ids(&stripe.get(&until("lte", created + 60)).await), made);
}

#[tokio::test]
async fn objects_stand_in_place_of_ids_where_that_is_asked_for() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let expand =
        "expand[]=data.latest_invoice.payments&expand[]=data.customer&expand[]=data.items.data.price.product";
    let list = stripe.get(&format!("subscriptions?{expand}")).await;
    let shown = &list["data"][0];
    assert_eq!(shown["customer"]["object"], "customer");
    assert_eq!(shown["items"]["data"][0]["price"]["product"]["name"], "small");
    assert_eq!(shown["latest_invoice"]["payments"]["data"][0]["status"], "paid");
    let invoice = stripe.get(&format!("invoices/{}", subscription["latest_invoice"].as_str().unwrap())).await;
    assert_eq!(invoice["parent"]["subscription_details"]["subscription"], subscription["id"]);
    for absent in ["payments", "confirmation_secret", "subscription", "charge", "payment_intent"] {
        assert_eq!(invoice.get(absent), None, "{absent}");
    }
    let wrong = stripe.request(Method::GET, "subscriptions?expand[]=data.nothing").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_older_version_has_the_older_shape() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let path = format!("subscriptions/{}?expand[]=latest_invoice", id(&subscription));
    let old = stripe.request(Method::GET, &path).header("Stripe-Version", "2024-06-20").send().await.unwrap();
    assert_eq!(old.headers()["Stripe-Version"], "2024-06-20");
    let old = good(old).await;
    assert_eq!(subscription.get("current_period_end"), None);
    assert_eq!(old["current_period_end"], subscription["items"]["data"][0]["current_period_end"]);
    assert_eq!(old["latest_invoice"]["subscription"], subscription["id"]);
    assert!(old["latest_invoice"]["charge"].as_str().unwrap().starts_with("ch_"));
    assert_eq!(old["latest_invoice"].get("parent"), None);
    let wrong = stripe.request(Method::GET, &path).header("Stripe-Version", "newest").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn faults_reach_it_and_a_lost_answer_was_done() {
    let stripe = Stripe::start();
    stripe
        .sandbox
        .break_with(json!({ "path_prefix": "/stripe/v1/", "kind": "status", "status": 429,
                                      "retry_after": 2, "times": 1 }))
        .await;
    let limited = stripe.try_post("customers", &[]).await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers()["Retry-After"], "2");
    assert_eq!(limited.json::<Value>().await.unwrap()["error"]["code"], "rate_limit");

    let call = || {
        let request = stripe.request(Method::POST, "customers").header("Idempotency-Key", "three");
        request.timeout(Duration::from_secs(5)).form(&[("email", "a@example.org")]).send()
    };
    stripe.sandbox.break_with(json!({ "path_prefix": "/stripe/v1/", "kind": "lost", "times": 1 })).await;
    assert_eq!(call().await.unwrap().status(), StatusCode::BAD_GATEWAY);
    assert_eq!(stripe.get("customers").await["data"].as_array().unwrap().len(), 1, "it was done");
    stripe
        .sandbox
        .break_with(json!({ "path_prefix": "/stripe/v1/", "kind": "cut", "after_bytes": 0, "times": 1 }))
        .await;
    assert!(call().await.unwrap().text().await.is_err());

    let third = call().await.unwrap();

    assert_eq!(third.headers()["Idempotent-Replayed"], "true");
    let made = stripe.get("customers").await["data"].clone();
    assert_eq!(made, json!([good(third).await]));
}

#[tokio::test]
async fn prices_have_the_ids_that_were_asked_for_and_lookup_keys() {
    let stripe = Stripe::start();
    let price = stripe.get(&format!("prices/{SMALL}?expand[]=product")).await;
    assert_eq!((&price["unit_amount"], &price["currency"]), (&json!(499), &json!("eur")));
    assert_eq!(price["product"]["metadata"]["plan"], "small");
    let form = [
        ("currency", "usd"),
        ("unit_amount", "599"),
        ("product", "prod_small"),
        ("lookup_key", "small_usd"),
        ("recurring[interval]", "month"),
    ];
    let made = stripe.post("prices", &form).await;
    assert_eq!(stripe.get("prices?lookup_keys[]=small_usd").await["data"][0]["id"], made["id"]);
    let (status, error) = stripe.refused("prices", &form).await;
    assert_eq!((status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("lookup_key")));
}
