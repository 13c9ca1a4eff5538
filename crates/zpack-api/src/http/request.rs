//! The request's id, its span in the log and its numbers.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument as _;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request in the response, the log and the audit log.
#[derive(Clone, Debug, Default)]
pub struct RequestId(pub String);

impl RequestId {
    /// The caller's own, if it is one that a log can bear; otherwise a new one.
    fn of(headers: &HeaderMap) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let sane = given.filter(|id| (8..=64).contains(&id.len()) && id.chars().all(plain));
        Self(sane.map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned))
    }
}

/// Gives the request its id and its span, counts it and times it. Neither query nor headers are logged: both can
/// carry secrets.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span =
        tracing::info_span!("request", request_id = %id.0, %method, route, customer = tracing::field::Empty);
    request.extensions_mut().insert(id.clone());
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let seconds = began.elapsed().as_secs_f64();
    span.in_scope(|| tracing::debug!(status = status.as_u16(), seconds, "answered"));
    let labels = [
        ("method", method.to_string()),
        ("route", route),
        ("status", format!("{}xx", status.as_u16() / 100)),
    ];
    metrics::counter!("zlh_http_requests_total", &labels).increment(1);
    metrics::histogram!("zlh_http_request_seconds").record(seconds);
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_only_if_it_cannot_harm_a_log() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_str(value).unwrap());
            RequestId::of(&headers).0
        };
        assert_eq!(of("trace-0123456789"), "trace-0123456789");
        for bad in ["short", "with space in it", "quote\"quote\"", &"x".repeat(65)] {
            assert_ne!(of(bad), bad);
        }
    }
}
