//! Headers that carry meaning: `Idempotency-Key`, `If-Match`, `ETag`.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponseParts, ResponseParts},
};

use crate::problem::{Code, Problem};

/// Longest `Idempotency-Key`, in characters.
const MAX_KEY: usize = 255;

/// The request's `Idempotency-Key`: printable ASCII.
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = "Send a new random value, for example a UUID, and the same one if you try again.";
        let value = parts.headers.get(HeaderName::from_static("idempotency-key"));
        let value = value.ok_or_else(|| Problem::new(Code::IdempotencyKeyMissing, missing))?;
        let usable =
            |text: &&str| (1..=MAX_KEY).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        let key = value.to_str().ok().filter(usable);
        let refused =
            || Problem::new(Code::IdempotencyKeyInvalid, "It has 1 to 255 printable ASCII characters.");
        Ok(Self(key.ok_or_else(refused)?.to_owned()))
    }
}

/// Where it may be missing.
impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        if !parts.headers.contains_key(HeaderName::from_static("idempotency-key")) {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

/// The version that a change is made to, as the request's `If-Match` says (RFC 9110, 13.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whichever it has.
    Any,
    /// This one.
    Version(i64),
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = "Read it first and send its ETag as If-Match, so that nobody's change is lost.";
        let value = parts.headers.get(header::IF_MATCH);
        let value = value.ok_or_else(|| Problem::new(Code::IfMatchMissing, missing))?;
        if value.as_bytes().trim_ascii() == b"*" {
            return Ok(Self::Any);
        }
        let tag =
            value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        // A tag that was never ours matches nothing.
        let foreign = || Problem::new(Code::VersionMismatch, "This is not the ETag of its present version.");
        tag.map(Self::Version).ok_or_else(foreign)
    }
}

/// A version as the response's `ETag`.
pub struct Etag(pub i64);

impl IntoResponseParts for Etag {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", self.0)) {
            parts.headers_mut().insert(header::ETAG, value);
        }
        Ok(parts)
    }
}
