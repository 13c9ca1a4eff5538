//! What browsers call this installation.

use std::str::FromStr;

/// The public address: scheme and authority, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
}

impl PublicUrl {
    /// As a browser writes it in `Origin` (RFC 6454).
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether browsers reach it over TLS.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not an http or https address without a path");
        let lower = text.trim_end_matches('/').to_ascii_lowercase();
        let (authority, default_port) = match (lower.strip_prefix("http://"), lower.strip_prefix("https://"))
        {
            (Some(rest), _) => (rest, ":80"),
            (_, Some(rest)) => (rest, ":443"),
            _ => return Err(refused()),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if authority.is_empty() || !authority.chars().all(plain) {
            return Err(refused());
        }
        // A browser leaves its scheme's own port out.
        let origin = lower.strip_suffix(default_port).unwrap_or(&lower).to_owned();
        Ok(Self { origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_what_a_browser_would_send() {
        let origin = |text: &str| text.parse::<PublicUrl>().map(|url| url.origin);
        assert_eq!(origin("https://Panel.example.org/"), Ok("https://panel.example.org".to_owned()));
        assert_eq!(origin("https://panel.example.org:443"), Ok("https://panel.example.org".to_owned()));
        assert_eq!(origin("http://127.0.0.1:8080"), Ok("http://127.0.0.1:8080".to_owned()));
        for bad in ["", "panel.example.org", "ftp://x", "https://", "https://a/b", "https://user@host"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
