//! What was called: so that a test can show what was not.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use serde::Serialize;

/// Calls that are kept, the newest.
const KEPT: usize = 10_000;

/// A call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
}

/// The calls so far. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<VecDeque<Call>>>);

impl Calls {
    /// The calls, oldest first.
    pub(crate) fn all(&self) -> Vec<Call> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a call and how it was answered.
pub(crate) async fn record(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let response = next.run(request).await;
    let mut kept = calls.lock();
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(Call { method, path, status: response.status().as_u16() });
    drop(kept);
    response
}

/// `GET /_calls`
pub(crate) async fn list(State(calls): State<Calls>) -> Json<Vec<Call>> {
    Json(calls.all())
}

/// `DELETE /_calls`
pub(crate) async fn clear(State(calls): State<Calls>) -> StatusCode {
    calls.lock().clear();
    StatusCode::NO_CONTENT
}
