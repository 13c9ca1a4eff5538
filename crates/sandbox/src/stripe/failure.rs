//! What a refused call is answered.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// An answer of a resource.
pub(super) type Outcome = Result<Value, Failure>;

/// A refusal, as it goes into Stripe's `error` object.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// Whether the call was carried out before it failed, so that its idempotency key keeps the answer.
    pub(super) executed: bool,
    pub(super) error: Map<String, Value>,
}

impl Failure {
    fn new(status: StatusCode, error: Value) -> Self {
        let error = if let Value::Object(error) = error { error } else { Map::new() };
        Self { status, executed: false, error }
    }

    /// No such object, named in the address.
    pub(super) fn missing(what: &str, id: &str) -> Self {
        let message = format!("No such {what}: '{id}'");
        Self::new(
            StatusCode::NOT_FOUND,
            json!({ "type": "invalid_request_error", "code": "resource_missing", "message": message, "param": "id" }),
        )
    }

    /// No such object, named in a parameter.
    pub(super) fn missing_in(param: &str, what: &str, id: &str) -> Self {
        let mut failure = Self::invalid(param, &format!("No such {what}: '{id}'"));
        failure.error.insert("code".to_owned(), "resource_missing".into());
        failure
    }

    /// A parameter that cannot be.
    pub(super) fn invalid(param: &str, message: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            json!({ "type": "invalid_request_error", "message": message, "param": param }),
        )
    }

    /// A call that cannot be carried out as things are.
    pub(super) fn refused(code: &str, message: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            json!({ "type": "invalid_request_error", "code": code, "message": message }),
        )
    }

    /// A parameter that has to be there.
    pub(super) fn required(param: &str) -> Self {
        let mut failure = Self::invalid(param, &format!("Missing required param: {param}."));
        failure.error.insert("code".to_owned(), "parameter_missing".into());
        failure
    }

    /// A parameter that nobody knows.
    pub(super) fn unknown(param: &str) -> Self {
        let mut failure = Self::invalid(param, &format!("Received unknown parameter: {param}"));
        failure.error.insert("code".to_owned(), "parameter_unknown".into());
        failure
    }

    /// An address that nobody knows.
    pub(super) fn no_route(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at \
             https://support.stripe.com/."
        );
        Self::new(StatusCode::NOT_FOUND, json!({ "type": "invalid_request_error", "message": message }))
    }

    /// No key, or another one.
    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, json!({ "type": "invalid_request_error", "message": message }))
    }

    /// An idempotency key that was used for something else (400), or is being used (409).
    pub(super) fn idempotency(status: StatusCode, code: Option<&str>, message: &str) -> Self {
        let mut failure = Self::new(status, json!({ "type": "idempotency_error", "message": message }));
        if let Some(code) = code {
            failure.error.insert("code".to_owned(), code.into());
        }
        failure
    }

    /// A payment that was tried and not made.
    pub(super) fn card(code: &str, decline_code: Option<&str>, message: &str) -> Self {
        let mut failure = Self::new(
            StatusCode::PAYMENT_REQUIRED,
            json!({ "type": "card_error", "code": code, "message": message }),
        );
        if let Some(code) = decline_code {
            failure.error.insert("decline_code".to_owned(), code.into());
        }
        failure.executed = true;
        failure
    }
}

/// The body of a refusal that is none of ours: too many calls, or a failure of Stripe itself.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Value {
    let mut error = json!({ "type": "api_error", "message": message });
    if status == StatusCode::TOO_MANY_REQUESTS {
        error["type"] = "invalid_request_error".into();
        error["code"] = "rate_limit".into();
    }
    json!({ "error": error })
}
