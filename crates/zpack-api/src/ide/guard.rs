//! Who made the browser send a request. To a browser all workspaces are one site, so its cookie rules do not keep one
//! customer's page from sending requests to another's workspace: the page's origin has to be looked at.

use axum::http::{HeaderMap, Method, header};

/// Whether a page of somebody else made this request. Opening a link that stands elsewhere is allowed.
pub fn is_foreign(method: &Method, headers: &HeaderMap, own_origin: &str, websocket: bool) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| origin != own_origin) || (websocket && origin.is_none()) {
        return true;
    }
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => false,
        // A script without either header is asked to say where it comes from before it may change anything.
        None => origin.is_none() && !method.is_safe(),
        Some(_) => !(is_navigation(method, headers) && text("sec-fetch-dest") == Some("document")),
    }
}

/// Whether somebody is opening a page, who can read one in answer and be led elsewhere.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let reads = method == Method::GET || method == Method::HEAD;
    reads
        && text("sec-fetch-mode").map_or_else(
            || text(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html")),
            |mode| mode == "navigate",
        )
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_the_workspaces_own_pages_and_opened_links_are_let_through() {
        let foreign = |method: &Method, websocket: bool, pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)));
            is_foreign(method, &pairs.collect(), "http://a.ide.localhost", websocket)
        };
        let (own, other) = (("origin", "http://a.ide.localhost"), ("origin", "http://b.ide.localhost"));
        let link =
            [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(!foreign(&Method::GET, false, &[]));
        assert!(!foreign(&Method::GET, false, &link));
        assert!(!foreign(&Method::POST, false, &[own, ("sec-fetch-site", "same-origin")]));
        assert!(!foreign(&Method::POST, false, &[own]));
        assert!(!foreign(&Method::GET, true, &[own]));

        assert!(foreign(&Method::GET, true, &[]));
        assert!(foreign(&Method::GET, true, &[other]));
        assert!(foreign(&Method::POST, false, &[]));
        assert!(foreign(&Method::POST, false, &[other]));
        assert!(foreign(&Method::POST, false, &[("origin", "null")]));
        assert!(foreign(&Method::POST, false, &link));
        assert!(foreign(&Method::GET, false, &[other]));
        // A script, a picture and a frame of another workspace.
        assert!(foreign(
            &Method::GET,
            false,
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")]
        ));
        assert!(foreign(&Method::GET, false, &[link[0], link[1], ("sec-fetch-dest", "iframe")]));
    }
}
