//! JSON bodies: bounded, in time, of the right type, and with every field's value checked.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use garde::Validate;
use serde::de::DeserializeOwned;

use crate::problem::{Code, Problem};

/// How long a client may take to send a body, of 64 KiB at most.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that was read, understood and found valid.
pub struct ValidJson<T>(pub T);

impl<S: Send + Sync, T> FromRequest<S> for ValidJson<T>
where
    T: DeserializeOwned + Validate<Context: Default>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "Send the header Content-Type: application/json.",
            ));
        }
        let bytes = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let bytes = bytes
            .map_err(|_| Problem::new(Code::BodyTimeout, "The body did not arrive within 10 seconds."))?;
        let value: T = parse(&bytes.map_err(|rejection| refused(&rejection))?)?;
        value.validate().map_err(|report| Problem::from(&report))?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn refused(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(Code::BodyTooLarge, "A body may have 64 KiB at most.");
    }
    Problem::new(Code::BadRequest, "The body broke off.")
}

/// serde's message names the field and what was expected; it quotes values of unexpected types, never of strings.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let detail = match error.classify() {
            serde_json::error::Category::Data => without_values(&error.to_string()),
            _ => format!("This is not JSON: line {line}, column {column}."),
        };
        Problem::new(Code::MalformedJson, detail)
    })
}

/// A message that quotes a value (`invalid type: string "secret", expected …`) is cut to what was expected.
fn without_values(message: &str) -> String {
    match message.rsplit_once("expected ") {
        Some((_, expected)) if message.starts_with("invalid") => {
            format!("A value has the wrong type: expected {expected}")
        }
        _ => message.to_owned(),
    }
}
