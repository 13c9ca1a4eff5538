//! Deliveries of events to webhook endpoints: signed, tried again with growing pauses, spoiled on request.

use std::{collections::HashSet, time::Duration};

use reqwest::{Client, redirect::Policy};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Stripe, ids,
    shape::{self, VERSION},
    store::Books,
    time,
    value::{int, text},
};

/// One event for one endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) endpoint: String,
    pub(super) state: State,
    pub(super) attempts: usize,
    /// When it was first due, and when the next attempt is, in milliseconds of the machine's time.
    pub(super) since_ms: u64,
    pub(super) due_ms: u64,
    /// The last answer's status, or what came instead of an answer.
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
}

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Waiting,
    Delivered,
    /// It was tried often enough.
    Failed,
    /// It was lost on request.
    Dropped,
}

impl Delivery {
    /// One that is due then.
    pub(super) fn due(event: &str, endpoint: &str, due_ms: u64) -> Self {
        Self {
            id: ids::new("whd"),
            event: event.to_owned(),
            endpoint: endpoint.to_owned(),
            state: State::Waiting,
            attempts: 0,
            since_ms: due_ms,
            due_ms,
            status: None,
            error: None,
        }
    }

    /// One that is lost.
    pub(super) fn dropped(event: &str, endpoint: &str) -> Self {
        Self { state: State::Dropped, ..Self::due(event, endpoint, time::machine_ms()) }
    }
}

/// What is sent.
struct Letter {
    delivery: String,
    endpoint: String,
    url: String,
    signature: String,
    body: String,
    patience: Duration,
}

/// Delivers for ever. One delivery is under way for each endpoint: what is not delivered for the first time waits behind
/// others without holding them up.
pub(super) async fn run(stripe: Stripe) {
    let client = match Client::builder().no_proxy().redirect(Policy::none()).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "webhooks cannot be delivered: there is no HTTP client");
            return;
        }
    };
    let (mut busy, mut sent) = (HashSet::new(), JoinSet::new());
    loop {
        let (letters, wait) = write_letters(&mut stripe.lock(), &busy);
        for letter in letters {
            busy.insert(letter.endpoint.clone());
            sent.spawn(send(client.clone(), letter));
        }
        tokio::select! {
            Some(done) = sent.join_next() => {
                if let Ok((letter, answer)) = done {
                    busy.remove(&letter.endpoint);
                    note(&mut stripe.lock(), &letter, answer);
                }
            }
            () = stripe.new_mail() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// A letter for each endpoint that has something due, and how long until something else is.
fn write_letters(books: &mut Books, busy: &HashSet<String>) -> (Vec<Letter>, Duration) {
    const LONGEST: u64 = 60_000;
    let now = time::machine_ms();
    let waiting = |it: &&Delivery| it.state == State::Waiting && !busy.contains(&it.endpoint);
    if books.switches.hold {
        return (Vec::new(), Duration::from_millis(LONGEST));
    }
    let mut chosen: Vec<Delivery> = Vec::new();
    let mut wait = LONGEST;
    for delivery in books.deliveries.iter().filter(waiting) {
        if delivery.due_ms > now {
            wait = wait.min(delivery.due_ms - now);
            continue;
        }
        match chosen.iter_mut().find(|it| it.endpoint == delivery.endpoint) {
            Some(other) => {
                let is_earlier = (delivery.attempts, delivery.due_ms) < (other.attempts, other.due_ms);
                if books.switches.reverse || is_earlier {
                    *other = delivery.clone();
                }
            }
            None => chosen.push(delivery.clone()),
        }
    }
    (chosen.iter().filter_map(|it| letter(books, it)).collect(), Duration::from_millis(wait))
}

fn letter(books: &mut Books, delivery: &Delivery) -> Option<Letter> {
    let event = books.event(&delivery.event).cloned();
    let endpoint = books.find(&delivery.endpoint).cloned();
    let reason = match (&event, &endpoint) {
        (None, _) => "the event is not kept any more",
        (_, None) => "the endpoint is gone",
        (_, Some(it)) if text(it, "status") != "enabled" => "the endpoint is disabled",
        (Some(event), Some(endpoint)) => return Some(sign(books, delivery, event, endpoint)),
    };
    if let Some(it) = books.deliveries.iter_mut().find(|it| it.id == delivery.id) {
        it.state = State::Failed;
        it.error = Some(reason.to_owned());
    }
    None
}

fn sign(books: &Books, delivery: &Delivery, event: &Value, endpoint: &Value) -> Letter {
    let switches = &books.switches;
    let version = switches.api_version.as_deref().or(endpoint["api_version"].as_str()).unwrap_or(VERSION);
    let mut event = event.clone();
    event["api_version"] = version.into();
    if switches.old_shape || shape::is_old(version) {
        shape::make_old(books, &mut event["data"]["object"]);
    }
    let body = serde_json::to_string_pretty(&event).unwrap_or_default();
    let signature = signature(text(endpoint, "_secret"), time::machine(), &body);
    let body = if switches.minified { event.to_string() } else { body };
    Letter {
        delivery: delivery.id.clone(),
        endpoint: delivery.endpoint.clone(),
        url: text(endpoint, "url").to_owned(),
        signature,
        body,
        patience: Duration::from_millis(switches.answer_ms),
    }
}

/// The header that proves where a body comes from.
fn signature(secret: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(tag))
}

async fn send(client: Client, letter: Letter) -> (Letter, Result<u16, String>) {
    let request = client
        .post(&letter.url)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("Stripe-Signature", &letter.signature)
        .timeout(letter.patience)
        .body(letter.body.clone());
    let answer = request.send().await;
    let answer = answer.map(|it| it.status().as_u16()).map_err(|error| {
        if error.is_timeout() { "no answer in time".to_owned() } else { format!("{:?}", error.without_url()) }
    });
    (letter, answer)
}

fn note(books: &mut Books, letter: &Letter, answer: Result<u16, String>) {
    let now = time::machine_ms();
    let pauses = books.switches.delivery_pauses_ms.clone();
    books.is_dirty = true;
    let Some(delivery) = books.deliveries.iter_mut().find(|it| it.id == letter.delivery) else { return };
    let is_good = matches!(answer, Ok(200..300));
    delivery.attempts += 1;
    delivery.status = answer.as_ref().ok().copied();
    delivery.error = answer.err();
    if is_good {
        delivery.state = State::Delivered;
        let event = delivery.event.clone();
        books.set(&letter.endpoint, |it| it["_good_at"] = now.into());
        if let Some(event) = books.events.iter_mut().rev().find(|it| text(it, "id") == event) {
            event["pending_webhooks"] = (int(event, "pending_webhooks") - 1).max(0).into();
        }
        return;
    }
    if let Some(pause) = pauses.get(delivery.attempts - 1) {
        delivery.due_ms = now + pause;
    } else {
        delivery.state = State::Failed;
        let since = delivery.since_ms;
        disable(books, &letter.endpoint, since, now);
    }
}

/// An endpoint that has answered nothing well for long is left alone.
fn disable(books: &mut Books, endpoint: &str, since: u64, now: u64) {
    let good = books.find(endpoint).and_then(|it| it["_good_at"].as_u64()).unwrap_or_default();
    if now.saturating_sub(good.max(since)) >= books.switches.disable_after_ms {
        books.set(endpoint, |it| it["status"] = "disabled".into());
        tracing::warn!(
            endpoint,
            "the webhook endpoint is disabled: no delivery was answered well for too long; POST disabled=false to \
             /v1/webhook_endpoints/{endpoint} enables it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // The same with openssl: printf '1.{}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "t=1,v1=7500d5d4be4b3ef07af1fe56f7d522d135cdaa7530de557e67cc1049c52de094";
        assert_eq!(signature("whsec_test", 1, "{}"), expected);
    }
}
