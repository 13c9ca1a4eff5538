//! What passes between a browser and a workspace, and what does not: our cookies and credentials, what belongs to one
//! connection, and what one customer's program could do to other hosts of ours.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::auth::cookie;

/// Belongs to one connection (RFC 9110, 7.6.1), whatever `Connection` says.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "proxy-authenticate",
    "proxy-authorization",
    "http2-settings",
];

/// A client's own claims, and credentials for us.
const CLAIMS: &[&str] = &["authorization", "forwarded", "x-real-ip", "cookie", "host", "via"];

/// What a workspace's answer may not say: it would bind other hosts than its own, or other sites' cookies.
const NOT_FOR_BROWSERS: &[&str] = &["strict-transport-security", "alt-svc", "clear-site-data", "set-cookie"];

/// Where a request comes from, for the workspace's own checks and log.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// Host and port as the browser names them.
    pub host: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The client's address.
    pub client: std::net::IpAddr,
}

/// The headers that go to the workspace.
pub fn towards_workspace(from: &HeaderMap, forwarded: Forwarded<'_>) -> HeaderMap {
    let mut to = passing(from, |name| !CLAIMS.contains(&name) && !name.starts_with("x-forwarded-"));
    let cookies = others_cookies(from);
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            to.insert(name, value);
        }
    };
    if !cookies.is_empty() {
        set(header::COOKIE, &cookies);
    }
    set(header::HOST, forwarded.host);
    set(HeaderName::from_static("x-forwarded-host"), forwarded.host);
    set(HeaderName::from_static("x-forwarded-proto"), forwarded.scheme);
    set(HeaderName::from_static("x-forwarded-for"), &forwarded.client.to_string());
    to
}

/// The headers that go back to the browser.
pub fn towards_browser(from: &HeaderMap) -> HeaderMap {
    let mut to = passing(from, |name| !NOT_FOR_BROWSERS.contains(&name));
    for value in from.get_all(header::SET_COOKIE).iter().filter(|value| may_be_set(value)) {
        to.append(header::SET_COOKIE, value.clone());
    }
    // Other workspaces are of the same site to a browser: they load nothing from here, frame nothing, and share nothing.
    to.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'self'"));
    to.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    to.insert(HeaderName::from_static("origin-agent-cluster"), HeaderValue::from_static("?1"));
    to
}

/// For the handshake of a WebSocket, which needs two headers that otherwise do not pass.
pub fn ask_for_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

fn passing(from: &HeaderMap, passes: impl Fn(&str) -> bool) -> HeaderMap {
    let named: Vec<String> = (from.get_all(header::CONNECTION).iter())
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays = |name: &HeaderName| {
        let name = name.as_str();
        HOP_BY_HOP.contains(&name) || named.iter().any(|other| other == name) || !passes(name)
    };
    from.iter().filter(|(name, _)| !stays(name)).fold(HeaderMap::new(), |mut to, (name, value)| {
        to.append(name.clone(), value.clone());
        to
    })
}

/// Whether a cookie is one of ours, by its name.
fn is_ours(name: &str) -> bool {
    let name = name.trim();
    let bare = name.strip_prefix("__Host-").or_else(|| name.strip_prefix("__Secure-")).unwrap_or(name);
    bare.starts_with("zlh_")
}

fn others_cookies(headers: &HeaderMap) -> String {
    let others = cookie::pairs(headers)
        .filter(|pair| !pair.is_empty() && !is_ours(pair.split('=').next().unwrap_or_default()));
    others.collect::<Vec<_>>().join("; ")
}

/// A workspace sets cookies for its own host and no other, and none that look like ours.
fn may_be_set(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let mut parts = text.split(';');
    let name = parts.next().and_then(|pair| pair.split_once('=')).map_or("", |(name, _)| name.trim());
    let for_others =
        |part: &str| part.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case("domain");
    !name.is_empty() && !is_ours(name) && !parts.any(for_others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)));
        pairs.fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    #[test]
    fn no_credential_of_ours_and_no_claim_of_the_clients_reaches_the_workspace() {
        let from = headers(&[
            ("cookie", "_xsrf=1; zlh_session=secret; zlh_ide=secret"),
            ("cookie", "__Host-zlh_session=secret; theme=dark; __Host-zlh_ide=secret"),
            ("authorization", "Bearer secret"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-prefix", "/evil"),
            ("forwarded", "for=6.6.6.6"),
            ("connection", "close, X-Drop-Me"),
            ("x-drop-me", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "other"),
            ("x-xsrftoken", "1"),
        ]);
        let forwarded =
            Forwarded { host: "demo.ide.localhost:8080", scheme: "http", client: [127, 0, 0, 1].into() };
        let to = towards_workspace(&from, forwarded);
        let expected = headers(&[
            ("x-xsrftoken", "1"),
            ("cookie", "_xsrf=1; theme=dark"),
            ("host", "demo.ide.localhost:8080"),
            ("x-forwarded-host", "demo.ide.localhost:8080"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "127.0.0.1"),
        ]);
        assert_eq!(to, expected);
    }

    #[test]
    fn a_workspace_sets_cookies_for_itself_only() {
        let from = headers(&[
            ("set-cookie", "_xsrf=1; Path=/"),
            ("set-cookie", "a=b; Domain=ide.localhost"),
            ("set-cookie", "a=b;path=/; DOMAIN = example.org"),
            ("set-cookie", "zlh_ide=stolen; Path=/"),
            ("set-cookie", " __Host-zlh_session=stolen"),
            ("set-cookie", "=zlh_ide=stolen"),
            ("set-cookie", "nothing"),
            ("clear-site-data", "\"cookies\""),
            ("strict-transport-security", "max-age=1; includeSubDomains"),
            ("content-security-policy", "default-src 'self'"),
            ("keep-alive", "timeout=5"),
        ]);
        let to = towards_browser(&from);
        let set: Vec<_> = to.get_all("set-cookie").iter().collect();
        assert_eq!(set, ["_xsrf=1; Path=/"]);
        let policies: Vec<_> = to.get_all("content-security-policy").iter().collect();
        assert_eq!(policies, ["default-src 'self'", "frame-ancestors 'self'"]);
        for gone in ["clear-site-data", "strict-transport-security", "keep-alive"] {
            assert!(!to.contains_key(gone), "{gone}");
        }
    }
}
