//! Errors of the interface: a status and a stable code (RFC 9457).

use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::agent::AgentProblem;

use crate::{files::error::FileError, service::Refusal};

/// An error answer.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    body: AgentProblem,
}

impl Problem {
    /// With a stable `code` and a sentence for a log.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status, body: AgentProblem { code: code.to_owned(), detail: detail.into() } }
    }

    /// What was sent is understood and wrong.
    pub fn invalid(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1: a 401 names the scheme.
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "body_invalid", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "query_invalid", rejection.body_text())
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        let (code, status) = error.class();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, code, error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NotInstalled | Refusal::OtherRevisionRuns | Refusal::OtherRevisionInstalls => {
                StatusCode::CONFLICT
            }
            Refusal::NotSaved => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal.code(), refusal.to_string())
    }
}
