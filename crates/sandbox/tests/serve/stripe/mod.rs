//! Stripe as its callers see it.

mod billing;
mod changes;
mod client;
mod debts;
mod pages;
mod receiver;
mod webhooks;
mod wire;

use std::time::{Duration, Instant};

use reqwest::{StatusCode, redirect::Policy};
use serde_json::{Value, json};

use crate::Sandbox;

pub(crate) const DAY: i64 = 86_400;
/// A price of 4.99 € a month, and one of twice as much.
pub(crate) const SMALL: &str = "price_small";
pub(crate) const LARGE: &str = "price_large";
const PRICES: &[&str] =
    &["--stripe-price", "price_small=small:499:eur", "--stripe-price", "price_large=large:998:eur"];

/// The sandbox, called as Stripe.
pub(crate) struct Stripe {
    pub(crate) sandbox: Sandbox,
    pub(crate) base: String,
    /// A browser that shows where it is sent instead of going there.
    browser: reqwest::Client,
}

impl Stripe {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        let sandbox = Sandbox::start_with(&[PRICES, more].concat());
        let base = format!("{}/stripe", sandbox.base);
        let browser = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Self { sandbox, base, browser }
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/v1/{path}", self.base);
        self.sandbox
            .client
            .request(method, url)
            .bearer_auth("sk_test_sandbox")
            .timeout(Duration::from_secs(20))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.request(reqwest::Method::GET, path).send().await.unwrap();
        good(answer).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        good(self.try_post(path, form).await).await
    }

    pub(crate) async fn try_post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        self.request(reqwest::Method::POST, path).form(form).send().await.unwrap()
    }

    /// The status and the error of a call that is refused.
    pub(crate) async fn refused(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let answer = self.try_post(path, form).await;
        (answer.status(), answer.json::<Value>().await.unwrap()["error"].clone())
    }

    pub(crate) async fn delete(&self, path: &str) -> Value {
        good(self.request(reqwest::Method::DELETE, path).send().await.unwrap()).await
    }

    pub(crate) async fn switch(&self, switches: Value) {
        let url = format!("{}/_switches", self.base);
        good(self.sandbox.client.post(url).json(&switches).send().await.unwrap()).await;
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.base);
        good(self.sandbox.client.post(url).json(&body).send().await.unwrap()).await
    }

    /// Presses a button of a page.
    pub(crate) async fn press(&self, page: &str, form: &[(&str, &str)]) -> reqwest::Response {
        self.browser.post(page).form(form).send().await.unwrap()
    }

    pub(crate) async fn customer(&self) -> Value {
        self.post("customers", &[("email", "a@example.org")]).await
    }

    pub(crate) async fn checkout(&self, customer: &Value) -> Value {
        let form = [
            ("mode", "subscription"),
            ("customer", id(customer)),
            ("line_items[0][price]", SMALL),
            ("line_items[0][quantity]", "1"),
            ("success_url", "http://shop.example/done?session={CHECKOUT_SESSION_ID}"),
            ("cancel_url", "http://shop.example/again"),
            ("client_reference_id", "order-7"),
            ("subscription_data[metadata][server]", "demo"),
        ];
        self.post("checkout/sessions", &form).await
    }

    /// A customer who bought the small plan with a button of the page; the session afterwards.
    pub(crate) async fn bought_with(&self, button: &str) -> Value {
        let session = self.checkout(&self.customer().await).await;
        let answer = self.press(session["url"].as_str().unwrap(), &[("do", button)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        self.get(&format!("checkout/sessions/{}", id(&session))).await
    }

    /// The subscription of a customer who bought the small plan by card.
    pub(crate) async fn bought(&self) -> Value {
        let session = self.bought_with("pay").await;
        self.get(&format!("subscriptions/{}", session["subscription"].as_str().unwrap())).await
    }

    /// Gives the subscription, and what it has, a card that acts so.
    pub(crate) async fn change_card(&self, subscription: &Value, card: &str) {
        let form = [("default_payment_method", card)];
        self.post(&format!("subscriptions/{}", id(subscription)), &form).await;
    }

    pub(crate) async fn subscription(&self, of: &Value) -> Value {
        self.get(&format!("subscriptions/{}?expand[]=latest_invoice", id(of))).await
    }

    /// Lets time pass for the customer of a subscription.
    pub(crate) async fn pass(&self, subscription: &Value, seconds: i64) {
        let clock = format!("test_helpers/test_clocks/{}", subscription["test_clock"].as_str().unwrap());
        let to = self.get(&clock).await["frozen_time"].as_i64().unwrap() + seconds;
        let advancing = self.post(&format!("{clock}/advance"), &[("frozen_time", &to.to_string())]).await;
        assert_eq!(advancing["status"], "advancing");
        eventually(async || (self.get(&clock).await["status"] == "ready").then_some(())).await;
    }

    /// Types of the events so far, oldest first.
    pub(crate) async fn told(&self) -> Vec<String> {
        let events = self.get("events?limit=100").await;
        let types = events["data"].as_array().unwrap().iter().rev();
        types.map(|it| it["type"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) async fn good(answer: reqwest::Response) -> Value {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

/// What is found, asked for again until it is there.
pub(crate) async fn eventually<T>(find: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_was_made_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stripe.json");
    let options = ["--stripe-file", file.to_str().unwrap()];
    let stripe = Stripe::start_with(&options);
    let (before, key) = (stripe.bought().await, [("email", "b@example.org")]);
    let create = |stripe: &Stripe| {
        let request = stripe.request(reqwest::Method::POST, "customers");
        request.form(&key).header("Idempotency-Key", "k").send()
    };
    let made = good(create(&stripe).await.unwrap()).await;
    stripe.switch(json!({ "twice": true })).await;
    stripe.sandbox.end().await;

    let stripe = Stripe::start_with(&options);

    let after = stripe.get(&format!("subscriptions/{}", id(&before))).await;
    assert_eq!(after, before);
    let again = create(&stripe).await.unwrap();
    assert_eq!(again.headers()["Idempotent-Replayed"], "true");
    assert_eq!(good(again).await, made);
    assert!(stripe.told().await.contains(&"checkout.session.completed".to_owned()));
    let switches =
        stripe.sandbox.get("/stripe/_switches").send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(switches["twice"], true);
}
