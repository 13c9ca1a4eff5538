//! The agent's HTTP interface: JSON under `/v1`, every route behind a token.

pub mod auth;
pub mod handlers;
pub mod problem;
pub mod table;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, http::Method};
use chrono::{DateTime, Utc};
use domain::agent::{Scope, TrustBundle};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use self::table::RouteTable;
use crate::service::Service;

/// Largest request body, in bytes: a service spec with its configuration files.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Longest request: the longest status wait, and some.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What handlers share.
#[derive(Clone)]
pub struct App {
    /// Who may call.
    pub trust: Arc<TrustBundle>,
    /// The enrolment secret of the trust bundle.
    pub secret: Arc<[u8; 32]>,
    /// SHA-256 of the certificate in use, hex.
    pub fingerprint: Arc<str>,
    /// The server under supervision.
    pub service: Service,
    /// Tells the time.
    pub clock: fn() -> DateTime<Utc>,
}

/// Every route there is, each with the scope it needs.
pub fn routes() -> RouteTable {
    RouteTable::default()
        .route(Method::POST, "/v1/enrol", Scope::Enrol, handlers::enrol)
        .route(Method::GET, "/v1/status", Scope::Observe, handlers::status)
        .route(Method::GET, "/v1/console/tail", Scope::Observe, handlers::console_tail)
        .route(Method::PUT, "/v1/service", Scope::Install, handlers::install)
        .route(Method::POST, "/v1/power", Scope::Power, handlers::power)
}

/// The whole interface, with its limits.
pub fn router(app: App) -> Router {
    routes()
        .into_router(app)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::new())
}
