//! Discord's webhooks: messages are sent, changed, limited and refused as Discord does it, and kept to be looked at.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, patch, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The webhook's id and token; no secret, since nothing here is.
pub(crate) const ID: &str = "1";
pub(crate) const TOKEN: &str = "sandbox";

/// Messages that are kept, the newest.
const KEPT: usize = 1_000;
/// Longest message, in characters.
const MAX_CHARS: usize = 2_000;
/// Calls that one webhook takes in so much time.
const LIMIT: (usize, Duration) = (5, Duration::from_secs(2));

/// A message as it is now.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) content: String,
    /// How often it was changed.
    pub(crate) edits: u32,
    allowed_mentions: Value,
}

#[derive(Default)]
struct Held {
    messages: VecDeque<Message>,
    sent: u64,
    calls: VecDeque<Instant>,
}

/// The channel behind the webhook. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Discord(Arc<Mutex<Held>>);

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait: bool,
}

impl Discord {
    /// The messages, oldest first.
    pub(crate) fn all(&self) -> Vec<Message> {
        self.lock().messages.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/api/webhooks/{id}/{token}`, and what was sent at `/messages`.
pub(crate) fn router(discord: Discord) -> Router {
    Router::new()
        .route("/api/webhooks/{id}/{token}", post(send))
        .route("/api/webhooks/{id}/{token}/messages/{message}", patch(edit))
        .route("/messages", get(list).delete(clear))
        .with_state(discord)
}

async fn list(State(discord): State<Discord>) -> Json<Vec<Message>> {
    Json(discord.all())
}

async fn clear(State(discord): State<Discord>) -> StatusCode {
    discord.lock().messages.clear();
    StatusCode::NO_CONTENT
}

async fn send(
    State(discord): State<Discord>,
    Path((id, token)): Path<(String, String)>,
    Query(Wait { wait }): Query<Wait>,
    Json(body): Json<Value>,
) -> Response {
    let mut held = discord.lock();
    if let Some(refused) = refused(&mut held, &id, &token, &body) {
        return refused;
    }
    held.sent += 1;
    let message = Message {
        id: (1_000_000 + held.sent).to_string(),
        content: content(&body).to_owned(),
        edits: 0,
        allowed_mentions: body["allowed_mentions"].clone(),
    };
    if held.messages.len() == KEPT {
        held.messages.pop_front();
    }
    held.messages.push_back(message.clone());
    if wait { Json(message).into_response() } else { StatusCode::NO_CONTENT.into_response() }
}

async fn edit(
    State(discord): State<Discord>,
    Path((id, token, message)): Path<(String, String, String)>,
    Json(body): Json<Value>,
) -> Response {
    let mut held = discord.lock();
    if let Some(refused) = refused(&mut held, &id, &token, &body) {
        return refused;
    }
    match held.messages.iter_mut().find(|it| it.id == message) {
        Some(it) => {
            content(&body).clone_into(&mut it.content);
            it.edits += 1;
            Json(it.clone()).into_response()
        }
        None => refusal(StatusCode::NOT_FOUND, 10_008, "Unknown Message"),
    }
}

fn content(body: &Value) -> &str {
    body["content"].as_str().unwrap_or_default()
}

fn refused(held: &mut Held, id: &str, token: &str, body: &Value) -> Option<Response> {
    if id != ID {
        return Some(refusal(StatusCode::NOT_FOUND, 10_015, "Unknown Webhook"));
    }
    if token != TOKEN {
        return Some(refusal(StatusCode::UNAUTHORIZED, 50_027, "Invalid Webhook Token"));
    }
    let (most, within) = LIMIT;
    held.calls.retain(|at| at.elapsed() < within);
    if let Some(first) = held.calls.front().filter(|_| held.calls.len() >= most) {
        return Some(limited(within.saturating_sub(first.elapsed())));
    }
    held.calls.push_back(Instant::now());
    match content(body).chars().count() {
        0 => Some(refusal(StatusCode::BAD_REQUEST, 50_006, "Cannot send an empty message")),
        1..=MAX_CHARS => None,
        _ => Some(refusal(StatusCode::BAD_REQUEST, 50_035, "Invalid Form Body")),
    }
}

fn limited(pause: Duration) -> Response {
    let body = json!({ "message": "You are being rate limited.", "retry_after": pause.as_secs_f64(), "global": false });
    let mut response = (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
    let seconds = pause.as_secs() + 1;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn refusal(status: StatusCode, code: u32, message: &str) -> Response {
    (status, Json(json!({ "message": message, "code": code }))).into_response()
}
