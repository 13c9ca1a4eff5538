//! The request's span in the log and its numbers.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};
use tracing::Instrument as _;

use crate::request_id::RequestId;

/// Gives the request its id and its span, counts it and times it. Neither query nor headers are logged: both can
/// carry secrets.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = name(request.method());
    let span =
        tracing::info_span!("request", request_id = %id.0, method, route, customer = tracing::field::Empty);
    request.extensions_mut().insert(id.clone());
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let seconds = began.elapsed().as_secs_f64();
    span.in_scope(|| tracing::debug!(status = status.as_u16(), seconds, "answered"));
    let labels =
        [("method", method.to_owned()), ("route", route), ("status", format!("{}xx", status.as_u16() / 100))];
    metrics::counter!("zlh_http_requests_total", &labels).increment(1);
    metrics::histogram!("zlh_http_request_seconds").record(seconds);
    id.put(response.headers_mut());
    response
}

/// A method as a label. A stranger may invent any number of them, each as long as a request's head.
fn name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_somebody_invented_makes_no_series_of_its_own() {
        assert_eq!((name(&Method::PATCH), name(&Method::TRACE)), ("PATCH", "other"));
        assert_eq!(name(&Method::from_bytes(&b"M".repeat(2_000)).unwrap()), "other");
    }
}
