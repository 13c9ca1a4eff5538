//! The id of a request, by which its answer, the log and the audit log name it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request in the response, the log and the audit log.
#[derive(Clone, Debug, Default)]
pub struct RequestId(pub String);

impl RequestId {
    /// The caller's own, if it is one that a log can bear; otherwise a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let sane = given.filter(|id| (8..=64).contains(&id.len()) && id.chars().all(plain));
        Self(sane.map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned))
    }

    /// Puts it into a response's headers.
    pub fn put(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HEADER, value);
        }
    }
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
