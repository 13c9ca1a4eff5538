//! Cross-site request forgery: a browser sends our cookie with requests that other sites make it send.
//!
//! Every unsafe request is looked at, whatever its route, so that no handler can forget it. The browser's own word
//! (`Sec-Fetch-Site`, `Origin`) decides; scripts of other sites cannot set either.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    auth::{Auth, cookie},
    problem::{Code, Problem},
};

/// Where a request comes from, as far as its headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Ours,
    Foreign,
    Untold,
}

/// Refuses an unsafe request that another site made, and one with a cookie that does not say where it comes from.
/// Without a cookie there is nothing to forge with, except a login to somebody else's account.
pub async fn guard(State(auth): State<Arc<Auth>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let by_cookie = !headers.contains_key(header::AUTHORIZATION) && cookie::token(&auth, headers).is_some();
    let ours = auth.public_url.origin();
    let refused = match origin(headers, ours) {
        Origin::Foreign => Some(Cow::from(FOREIGN)),
        Origin::Untold if by_cookie => Some(untold(ours).into()),
        Origin::Ours | Origin::Untold => None,
    };
    match refused {
        Some(detail) if !request.method().is_safe() => {
            Problem::new(Code::CsrfRejected, detail).into_response()
        }
        _ => next.run(request).await,
    }
}

const FOREIGN: &str = "The browser says that another site made this request. Nothing was done.";

fn untold(ours: &str) -> String {
    format!(
        "The request carries a session cookie but neither Origin nor Sec-Fetch-Site says where it comes from: \
         send Origin: {ours}, or use an API key. Nothing was done."
    )
}

fn origin(headers: &HeaderMap, ours: &str) -> Origin {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin" | "none"), _) => Origin::Ours,
        (_, Some(origin)) if origin == ours => Origin::Ours,
        (None, None) => Origin::Untold,
        _ => Origin::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_browsers_word_decides() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)));
            origin(&pairs.collect(), "https://panel.example.org")
        };
        assert_eq!(of(&[]), Origin::Untold);
        assert_eq!(of(&[("sec-fetch-site", "same-origin")]), Origin::Ours);
        assert_eq!(of(&[("sec-fetch-site", "none")]), Origin::Ours);
        assert_eq!(of(&[("sec-fetch-site", "cross-site")]), Origin::Foreign);
        assert_eq!(of(&[("sec-fetch-site", "same-site")]), Origin::Foreign);
        assert_eq!(of(&[("origin", "https://panel.example.org")]), Origin::Ours);
        assert_eq!(of(&[("origin", "https://panel.example.org.evil.example")]), Origin::Foreign);
        assert_eq!(of(&[("origin", "null")]), Origin::Foreign);
    }
}
