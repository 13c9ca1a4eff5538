//! How much is worked on at the same time, for whom, and for how long.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use tokio::{sync::Semaphore, time::timeout};

use super::{ClientAddress, TrustedProxies};
use crate::{
    problem::{Code, Problem},
    share::Shares,
};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The bounds. An event stream counts only until it begins.
#[derive(Clone, Debug)]
pub struct Load {
    permits: Arc<Semaphore>,
    by_address: Shares<IpAddr>,
    proxies: TrustedProxies,
    timeout: Duration,
    max_body: usize,
}

impl Load {
    /// At most `requests` at once, so many of them from one address, each for at most `timeout` and with a body of at most
    /// `max_body` bytes.
    pub fn new(
        (requests, by_address): (usize, usize),
        proxies: TrustedProxies,
        timeout: Duration,
        max_body: usize,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(requests));
        Self { permits, by_address: Shares::new(by_address), proxies, timeout, max_body }
    }
}

/// Answers 503 at once beyond the bound rather than let everybody wait, and 504 when the time is over. A place is taken
/// once the request is there, all of it: whoever sends slowly keeps nobody out.
pub async fn bound_load(State(load): State<Load>, request: Request, next: Next) -> Response {
    let request = match whole(request, load.max_body).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let address = ClientAddress::of(&parts, &load.proxies).limited_as();
    let Some(_share) = load.by_address.take(address) else {
        let detail =
            "Too many requests from your address are under way. Nothing was done; try again in a moment.";
        return Problem::new(Code::TooManyRequests, detail).retry_after(1).into_response();
    };
    let Ok(_permit) = load.permits.try_acquire() else {
        let detail = "There is too much to do at present. Nothing was done; try again in a moment.";
        return Problem::new(Code::Overloaded, detail).retry_after(1).into_response();
    };
    let response = timeout(load.timeout, next.run(Request::from_parts(parts, body))).await;
    response.unwrap_or_else(|_| {
        let detail = "It took too long. Whether it was done is not known: look before you try again, \
                      or try again with the same Idempotency-Key.";
        Problem::new(Code::TimedOut, detail).into_response()
    })
}

/// The request with its body in memory.
async fn whole(request: Request, most: usize) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let too_large = || Problem::new(Code::BodyTooLarge, "A body may have 64 KiB at most.");
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let late = |_| Problem::new(Code::BodyTimeout, "The body did not arrive within 10 seconds.");
    let read = async {
        let (mut chunks, mut bytes) = (body.into_data_stream(), Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Problem::new(Code::BadRequest, "The body broke off."))?;
            if bytes.len() + chunk.len() > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    let bytes = timeout(BODY_TIMEOUT, read).await.map_err(late)??;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
