//! How much is worked on at the same time, and for how long.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::Semaphore;

use crate::problem::{Code, Problem};

/// The bounds. An event stream counts only until it begins.
#[derive(Clone, Debug)]
pub struct Load {
    permits: Arc<Semaphore>,
    timeout: Duration,
}

impl Load {
    /// At most `requests` at once, each for at most `timeout`.
    pub fn new(requests: usize, timeout: Duration) -> Self {
        Self { permits: Arc::new(Semaphore::new(requests)), timeout }
    }
}

/// Answers 503 at once beyond the bound rather than let everybody wait, and 504 when the time is over.
pub async fn bound_load(State(load): State<Load>, request: Request, next: Next) -> Response {
    let Ok(_permit) = load.permits.try_acquire() else {
        let detail = "There is too much to do at present. Nothing was done; try again in a moment.";
        return Problem::new(Code::Overloaded, detail).retry_after(1).into_response();
    };
    let response = tokio::time::timeout(load.timeout, next.run(request)).await;
    response.unwrap_or_else(|_| {
        let detail = "It took too long. Whether it was done is not known: look before you try again, \
                      or try again with the same Idempotency-Key.";
        Problem::new(Code::TimedOut, detail).into_response()
    })
}
