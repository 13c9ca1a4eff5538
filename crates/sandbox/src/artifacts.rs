//! Serves the artifact folder, spoiled by the faults in force.

use std::path::Path;

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tower_http::services::ServeDir;

use crate::{
    body,
    faults::{self, Faults, Kind},
};

/// The folder, `/healthz` and the switches.
pub(crate) fn router(folder: &Path) -> Router {
    let faults = Faults::default();
    let files = Router::new()
        .fallback_service(ServeDir::new(folder).append_index_html_on_directories(false))
        .layer(middleware::from_fn_with_state(faults.clone(), spoil));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/_faults", get(faults::list).post(faults::add).delete(faults::clear))
        .with_state(faults)
        .fallback_service(files)
}

async fn spoil(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let fault = faults.take(request.uri().path());
    if fault.as_ref().is_some_and(|fault| fault.kind == Kind::NotFound) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let response = next.run(request).await;
    match fault {
        Some(fault) if response.status().is_success() => body::spoil(response, &fault),
        _ => response,
    }
}
