//! Errors as people and programs get them: problem details (RFC 9457), for everything that is not a success.
//!
//! Only this module knows HTTP status codes of errors. A handler returns a [`Problem`]; [`finish`] writes it out with
//! the request's id, and turns whatever a layer below answered into one as well.

mod code;
mod finish;
mod from;
mod page;

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::enforcement::{Gate, Stage};
use serde::Serialize;
use utoipa::ToSchema;

pub use code::Code;
pub use finish::{finish, on_panic};
pub use page::page;

/// What a handler's failure is answered with.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u64>,
    payment: Option<PaymentHint>,
}

/// What an open payment has to do with a refusal, and the way out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PaymentHint {
    /// How far enforcement has come: `final_warning`, `suspended`.
    pub stage: &'static str,
    /// What is blocked, as in `blocked` of `GET /api/billing`.
    pub gate: &'static str,
    /// Page on which it can be paid, relative to the Portal.
    pub pay: &'static str,
}

/// Where payments are made.
const PAY: &str = "/billing";

/// What is wrong with one field of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, as a path: `resources.memory_mib`.
    pub field: String,
    /// What is wrong with it, for people.
    pub detail: String,
}

/// An error's body: problem details (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// A page about this kind of problem, relative to this API.
    #[serde(rename = "type")]
    kind: String,
    /// In a few words, the same for every problem of this kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened this time, what was not lost and what to do.
    detail: Cow<'static, str>,
    /// Stable, for programs.
    code: &'static str,
    /// The request, as in the `x-request-id` header and the log: `urn:request:{id}`.
    instance: String,
    /// What is wrong with which field; empty unless the request's body was refused.
    errors: Vec<FieldError>,
    /// Only of what an open payment blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentHint>,
}

impl Problem {
    /// The answer for what an open payment blocks.
    pub fn payment_open(stage: Stage, gate: Gate) -> Self {
        let detail = format!(
            "A payment has been open for too long, so this is blocked ({gate}, stage {stage}). Nothing was changed, and nothing of \
             yours is deleted because of it. Pay on the billing page, and it works again at once."
        );
        let payment = PaymentHint { stage: stage.as_str(), gate: gate.as_str(), pay: PAY };
        Self { payment: Some(payment), ..Self::new(Code::PaymentOpen, detail) }
    }

    /// A problem of this kind, and what happened this time.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
            payment: None,
        }
    }

    /// Says that the cause is one field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.into(), detail: detail.into() });
        self
    }

    /// Says when it is worth trying again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// The answer for something that does not exist or is somebody else's; nobody may see which.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is nothing here, or it is not yours.")
    }

    /// The answer for an error that only we can do something about. The cause goes to the log, not to the client.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        let error = integrations::chain(cause);
        tracing::error!(error, "a request was answered with internal: {error}");
        Self::new(Code::Internal, "Nothing that you did. It is in our log under this request's id.")
    }

    /// Its kind.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What happened this time.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn body(self, request_id: &str) -> Body {
        Body {
            kind: format!("/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.as_str(),
            instance: format!("urn:request:{request_id}"),
            errors: self.errors,
            payment: self.payment,
        }
    }
}

/// The response travels without a body: [`finish`] writes it, since only there the request's id is known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"zlh\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// For the command line.
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.errors.is_empty() {
            return write!(f, "{}: {}", self.code.title(), self.detail);
        }
        f.write_str(self.code.title())?;
        self.errors.iter().try_for_each(|error| write!(f, "; {}: {}", error.field, error.detail))
    }
}
