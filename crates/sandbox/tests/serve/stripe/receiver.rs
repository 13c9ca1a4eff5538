//! A webhook endpoint of ours that keeps what it is sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Stripe, eventually};

/// One delivery as it came.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) signature: String,
    pub(crate) body: String,
}

impl Letter {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    pub(crate) fn id(&self) -> String {
        self.event()["id"].as_str().unwrap().to_owned()
    }

    /// Whether the body is the one that was signed with this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let (time, signature) = self.signature.split_once(',').unwrap();
        let (time, signature) = (time.strip_prefix("t=").unwrap(), signature.strip_prefix("v1=").unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = format!("{time}.{}", self.body);
        hmac::verify(&key, signed.as_bytes(), &hex::decode(signature).unwrap()).is_ok()
    }
}

#[derive(Default)]
struct Held {
    letters: Vec<Letter>,
    /// Statuses of the next answers; 200 after them.
    answers: VecDeque<u16>,
}

/// The endpoint, for as long as the test runs.
#[derive(Clone)]
pub(crate) struct Receiver {
    held: Arc<Mutex<Held>>,
    pub(crate) url: String,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(receive)).with_state(held.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { held, url }
    }

    /// The next answers have these statuses.
    pub(crate) fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.held.lock().unwrap().answers.extend(statuses);
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.held.lock().unwrap().letters.clone()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.letters().iter().map(Letter::kind).collect()
    }

    /// The letters, once there are so many.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Letter> {
        eventually(async || Some(self.letters()).filter(|it| it.len() >= count)).await
    }
}

async fn receive(State(held): State<Arc<Mutex<Held>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["Stripe-Signature"].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut held = held.lock().unwrap();
    held.letters.push(Letter { signature, body });
    held.answers.pop_front().map_or(StatusCode::OK, |it| StatusCode::from_u16(it).unwrap())
}

/// Stripe that delivers to a receiver, signed with `whsec_sandbox`.
pub(crate) async fn connected() -> (Stripe, Receiver) {
    let receiver = Receiver::start().await;
    let stripe = Stripe::start_with(&["--stripe-webhook", &receiver.url]);
    (stripe, receiver)
}
