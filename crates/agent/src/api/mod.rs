//! The agent's HTTP interface: JSON under `/v1`, every route behind a token.

pub mod auth;
mod backup;
mod console;
mod files;
pub mod handlers;
pub mod problem;
pub mod table;
mod tunnel;

use std::sync::{Arc, atomic::AtomicU64};

use axum::{Router, http::Method};
use chrono::{DateTime, Utc};
use domain::agent::{Scope, TrustBundle};
use tower_http::catch_panic::CatchPanicLayer;

use self::table::RouteTable;
use crate::{backup::Backups, files::Files, probe::players::PlayerCount, service::Service, tunnel::Tunnels};

/// What handlers share.
#[derive(Clone)]
pub struct App {
    /// Who may call.
    pub trust: Arc<TrustBundle>,
    /// The enrolment secret of the trust bundle.
    pub secret: Arc<[u8; 32]>,
    /// SHA-256 of the certificate in use, hex.
    pub fingerprint: Arc<str>,
    /// The way to a workspace's IDE.
    pub tunnels: Tunnels,
    /// The customer's files.
    pub files: Files,
    /// Their backups.
    pub backups: Backups,
    /// The server under supervision.
    pub service: Service,
    /// Who plays.
    pub players: Arc<PlayerCount>,
    /// Bytes of the data folder, as of the last count.
    pub disk_usage: Arc<AtomicU64>,
    /// Tells the time.
    pub clock: fn() -> DateTime<Utc>,
}

/// Every route there is, each with the scope it needs.
pub fn routes() -> RouteTable {
    RouteTable::default()
        .route(Method::POST, "/v1/enrol", Scope::Enrol, handlers::enrol)
        .route(Method::GET, "/v1/status", Scope::Observe, handlers::status)
        .route(Method::GET, "/v1/console/tail", Scope::Observe, handlers::console_tail)
        .route(Method::GET, "/v1/console/read", Scope::Console, console::read)
        .route(Method::POST, "/v1/console/input", Scope::Console, console::input)
        .route(Method::POST, "/v1/console/resize", Scope::Console, console::resize)
        .route(Method::GET, "/v1/stats", Scope::Observe, console::stats)
        .route(Method::PUT, "/v1/service", Scope::Install, handlers::install)
        .route(Method::POST, "/v1/power", Scope::Power, handlers::power)
        .route(Method::GET, "/v1/files/list", Scope::Files, files::list)
        .route(Method::GET, "/v1/files/stat", Scope::Files, files::stat)
        .route(Method::GET, "/v1/files/usage", Scope::Files, files::usage)
        .streaming_route(Method::GET, "/v1/files/content", Scope::Files, files::content::get)
        .streaming_route(Method::PUT, "/v1/files/content", Scope::Files, files::content::put)
        .route(Method::POST, "/v1/files/uploads", Scope::Files, files::uploads::begin)
        .route(Method::GET, "/v1/files/uploads", Scope::Files, files::uploads::get)
        .route(Method::DELETE, "/v1/files/uploads", Scope::Files, files::uploads::cancel)
        .streaming_route(Method::PATCH, "/v1/files/uploads", Scope::Files, files::uploads::write)
        .route(Method::POST, "/v1/files/change", Scope::Files, files::change)
        .route(Method::GET, "/v1/files/jobs", Scope::Files, files::job)
        .route(Method::POST, "/v1/files/jobs", Scope::Files, files::start_job)
        .route(Method::DELETE, "/v1/files/jobs", Scope::Files, files::cancel_job)
        .route(Method::PUT, "/v1/backup", Scope::Backup, backup::put)
        .route(Method::GET, "/v1/backup", Scope::Backup, backup::status)
        .route(Method::GET, "/v1/tunnel", Scope::Tunnel, tunnel::open)
}

/// The whole interface, with its limits.
pub fn router(app: App) -> Router {
    routes().into_router(app).layer(CatchPanicLayer::new())
}
