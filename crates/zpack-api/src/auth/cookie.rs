//! The session cookie. On https it is `__Host-`: the browser accepts it from this very host over TLS only.

use axum::http::{HeaderMap, HeaderValue, header};

use super::{Auth, Secret};

/// A header for a response.
pub type SetCookie = [(header::HeaderName, HeaderValue); 1];

/// The cookie's name: browsers refuse `__Host-` without TLS, which a development machine does not have.
fn name(auth: &Auth) -> &'static str {
    if auth.public_url.is_https() { "__Host-zlh_session" } else { "zlh_session" }
}

/// The token that a request's cookie carries.
pub fn token(auth: &Auth, headers: &HeaderMap) -> Option<Secret> {
    named(headers, name(auth))
}

/// The first secret that a request carries in a cookie of this name.
pub fn named(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let pairs = pairs(headers).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    values.find_map(Secret::given)
}

/// Every cookie of a request, as it came: `name=value`.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).map(str::trim)
}

/// The header that gives a browser its token. It keeps it for the session's longest life; the server ends it earlier.
pub fn set(auth: &Auth, token: &Secret) -> SetCookie {
    header_with(auth, token.expose(), auth.session_life.absolute.num_seconds())
}

/// The header that takes it away.
pub fn clear(auth: &Auth) -> SetCookie {
    header_with(auth, "", 0)
}

fn header_with(auth: &Auth, value: &str, max_age: i64) -> SetCookie {
    let secure = if auth.public_url.is_https() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}", name(auth));
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    [(header::SET_COOKIE, value)]
}
