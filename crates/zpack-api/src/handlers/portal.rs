//! The Portal: its files, and its page for every address that is nothing else's.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
    response::{IntoResponse, Response},
};

use crate::{http::PORTAL_POLICY, problem::Problem};

const STYLE: &str = include_str!("../../assets/style.css");

/// Where there are no pages: a path that is not known there is a program's mistake.
const NOT_PAGES: [&str; 2] = ["api", "assets"];

/// The style of pages without scripts: those about problems.
pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")], STYLE)
}

/// A file of the Portal; else its page, which finds out itself what the address shows.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    let accepted = accept_encoding(request.headers());
    let asset = match portal::file(path, accepted) {
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => None,
        Some(file) => Some(file),
        None if path.split('/').nth(1).is_some_and(|first| NOT_PAGES.contains(&first)) => None,
        None => Some(portal::page(accepted)),
    };
    let Some(asset) = asset else { return Problem::not_found().into_response() };
    // A page is asked for anew each time: it names files that change with the next version.
    let kept = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, kept),
        (header::VARY, "accept-encoding"),
    ];
    let mut response = (headers, asset.bytes).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PORTAL_POLICY);
    if let Some(encoding) = asset.encoding.name() {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn accept_encoding(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
