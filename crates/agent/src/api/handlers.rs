//! One function per route. Who may call was decided before (`table`).

use std::time::Duration;

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use domain::agent::{
    AgentStatus, ConsoleTail, EnrolRequest, EnrolResponse, MAX_STATUS_WAIT_MS, PowerRequest, ServiceSpec,
    enrolment_proof,
};
use serde::Deserialize;

use super::{App, problem::Problem};
use crate::service::spec;

/// Shortest and longest nonce, in characters of base64 (16 bytes and more).
const NONCE_CHARS: std::ops::RangeInclusive<usize> = 22..=128;

/// Lines that `GET /v1/console/tail` gives unless told.
const DEFAULT_TAIL: usize = 100;

/// Query of `GET /v1/status`.
#[derive(Debug, Deserialize)]
pub(super) struct StatusQuery {
    since: Option<u64>,
    #[serde(default)]
    wait_ms: u64,
}

/// Query of `GET /v1/console/tail`.
#[derive(Debug, Deserialize)]
pub(super) struct TailQuery {
    lines: Option<usize>,
}

/// Proves which certificate is this agent's.
pub(super) async fn enrol(
    State(app): State<App>,
    body: Result<Json<EnrolRequest>, JsonRejection>,
) -> Result<Json<EnrolResponse>, Problem> {
    let Json(request) = body?;
    if !NONCE_CHARS.contains(&request.nonce.len()) {
        return Err(Problem::invalid("nonce_invalid", "a nonce has at least 16 bytes, in base64"));
    }
    let proof = enrolment_proof(&app.secret[..], app.trust.instance_id, &request.nonce, &app.fingerprint);
    Ok(Json(EnrolResponse { certificate_sha256: app.fingerprint.to_string(), proof }))
}

/// Where the server stands; waits for a change when asked to.
pub(super) async fn status(
    State(app): State<App>,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Json<AgentStatus>, Problem> {
    let Query(query) = query?;
    let wait = Duration::from_millis(query.wait_ms.min(MAX_STATUS_WAIT_MS));
    Ok(Json(app.service.status_after(query.since, wait).await))
}

/// Sets what is installed and run, and starts the installation.
pub(super) async fn install(
    State(app): State<App>,
    body: Result<Json<ServiceSpec>, JsonRejection>,
) -> Result<Json<AgentStatus>, Problem> {
    let Json(spec) = body?;
    spec::check(&spec).map_err(|flaw| Problem::invalid("spec_invalid", flaw))?;
    Ok(Json(app.service.install(spec).await?))
}

/// Starts, stops, restarts or kills; answers before it is done.
pub(super) async fn power(
    State(app): State<App>,
    body: Result<Json<PowerRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<AgentStatus>), Problem> {
    let Json(request) = body?;
    Ok((StatusCode::ACCEPTED, Json(app.service.power(request.action).await?)))
}

/// The last lines of output.
pub(super) async fn console_tail(
    State(app): State<App>,
    query: Result<Query<TailQuery>, QueryRejection>,
) -> Result<Json<ConsoleTail>, Problem> {
    let Query(query) = query?;
    Ok(Json(ConsoleTail { lines: app.service.tail(query.lines.unwrap_or(DEFAULT_TAIL)) }))
}
