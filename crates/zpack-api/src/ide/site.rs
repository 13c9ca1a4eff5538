//! Workspaces' host names and origins: each has its own, so that browsers keep them apart from one another and from us.

use axum::http::{HeaderMap, Uri, header, uri::Authority};

use crate::config::PublicUrl;

/// Where workspaces are.
#[derive(Clone, Debug)]
pub struct Site {
    domain: String,
    scheme: &'static str,
    /// `:8080`, or nothing.
    port: String,
}

/// Whose a request is, by the host that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Not below our domain: the API's.
    Elsewhere,
    /// A workspace's, whether or not it exists.
    Workspace(String),
    /// Below our domain, and no workspace can have such a name; or two hosts at once.
    Nobody,
}

impl Site {
    /// Below `domain`, with scheme and port of the public address. An error if that is below it itself: a browser would
    /// then send our cookie to the proxy.
    pub fn new(domain: &str, public: &PublicUrl) -> Result<Self, String> {
        let origin = public.origin();
        let (scheme, authority) = if public.is_https() {
            ("https", origin.trim_start_matches("https://"))
        } else {
            ("http", origin.trim_start_matches("http://"))
        };
        let (host, port) = split_port(authority);
        let site = Self { domain: domain.to_owned(), scheme, port: port.to_owned() };
        match site.of(host) {
            Host::Elsewhere => Ok(site),
            _ => Err(format!("api.public_url may not be below ide.domain ({domain})")),
        }
    }

    /// Whose a request is. Whatever names a host below our domain anywhere is never the API's.
    pub fn of_request(&self, uri: &Uri, headers: &HeaderMap) -> Host {
        let named = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
        let mut found = uri.authority().map(Authority::as_str).into_iter().chain(named).map(|it| self.of(it));
        let first = found.next().unwrap_or(Host::Elsewhere);
        if found.all(|other| other == first) { first } else { Host::Nobody }
    }

    fn of(&self, authority: &str) -> Host {
        let (host, _) = split_port(authority);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let Some(rest) = host.strip_suffix(&self.domain) else { return Host::Elsewhere };
        match rest.strip_suffix('.') {
            Some(label) if is_label(label) => Host::Workspace(label.to_owned()),
            None if !rest.is_empty() => Host::Elsewhere,
            _ => Host::Nobody,
        }
    }

    /// Host and port of a workspace, as browsers name them.
    pub fn authority(&self, hostname: &str) -> String {
        format!("{hostname}.{}{}", self.domain, self.port)
    }

    /// A workspace's origin (RFC 6454).
    pub fn origin(&self, hostname: &str) -> String {
        format!("{}://{}", self.scheme, self.authority(hostname))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }
}

/// Host and `:port`, which may be missing; an IPv6 address in brackets has colons of its own.
fn split_port(authority: &str) -> (&str, &str) {
    match authority.rfind(':') {
        Some(colon) if authority[colon + 1..].bytes().all(|b| b.is_ascii_digit()) => {
            authority.split_at(colon)
        }
        _ => (authority, ""),
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Request};

    use super::*;

    fn site(public: &str) -> Site {
        Site::new("ide.example.org", &public.parse().unwrap()).unwrap()
    }

    #[test]
    fn each_workspace_has_an_origin_with_the_portals_scheme_and_port() {
        assert_eq!(site("http://127.0.0.1:8080").origin("demo"), "http://demo.ide.example.org:8080");
        assert_eq!(site("https://[::1]:8443").origin("demo"), "https://demo.ide.example.org:8443");
        assert_eq!(site("https://panel.example.org").origin("demo"), "https://demo.ide.example.org");
    }

    #[test]
    fn the_host_alone_decides_and_a_doubtful_one_is_nobodys() {
        let site = site("https://panel.example.org");
        let of = |uri: &str, hosts: &[&str]| {
            let mut request = Request::get(uri).body(()).unwrap();
            for host in hosts {
                request.headers_mut().append("host", HeaderValue::from_str(host).unwrap());
            }
            site.of_request(request.uri(), request.headers())
        };
        let demo = Host::Workspace("demo".to_owned());
        for host in ["demo.ide.example.org", "DEMO.ide.example.org:8080", "demo.ide.example.org.:1"] {
            assert_eq!(of("/", &[host]), demo, "{host}");
            assert_eq!(of(&format!("http://{host}/x"), &[]), demo, "{host}");
        }
        for host in
            ["", "panel.example.org", "127.0.0.1:8080", "[::1]:8080", "evilide.example.org", "example.org"]
        {
            assert_eq!(of("/", &[host]), Host::Elsewhere, "{host}");
        }
        for host in ["ide.example.org", ".ide.example.org", "a.b.ide.example.org", "a_b.ide.example.org"] {
            assert_eq!(of("/", &[host]), Host::Nobody, "{host}");
        }
        assert_eq!(of("/", &["demo.ide.example.org", "panel.example.org"]), Host::Nobody);
        assert_eq!(of("/", &["panel.example.org", "demo.ide.example.org"]), Host::Nobody);
        assert_eq!(of("http://demo.ide.example.org/", &["panel.example.org"]), Host::Nobody);
    }

    #[test]
    fn the_portal_may_not_be_a_workspace() {
        let below = |public: &str| Site::new("ide.example.org", &public.parse().unwrap()).is_err();
        assert!(below("https://panel.ide.example.org") && below("https://ide.example.org:8443"));
        assert!(!below("https://example.org"));
    }
}
