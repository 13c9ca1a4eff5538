//! The HTTP server of health and metrics.

use std::{io, net::SocketAddr};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use super::Readiness;
use crate::{metrics::Metrics, periodic::Tasks, systemd::Heartbeats};

#[derive(Clone)]
struct Served {
    readiness: Readiness,
    heartbeats: Heartbeats,
    periodic: Tasks,
    metrics: Metrics,
}

/// The three routes.
pub(crate) fn router(
    readiness: Readiness,
    heartbeats: Heartbeats,
    periodic: Tasks,
    metrics: Metrics,
) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render_metrics))
        .with_state(Served { readiness, heartbeats, periodic, metrics })
}

/// A running server. It ends when this is dropped, which is after everything else of the daemon has ended.
pub struct HealthServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl HealthServer {
    /// Listens on `address` and serves `routes`.
    pub async fn start(address: SocketAddr, routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the health server ended ({error}); health and metrics cannot be read until a restart");
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HealthServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Alive: the process answers, and no loop of it has fallen silent. A periodic task that fails is shown, and is not a
/// reason to start the daemon again.
async fn healthz(State(served): State<Served>) -> impl IntoResponse {
    let silent = served.heartbeats.silent();
    let status = if silent.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "alive": silent.is_empty(), "silent": silent, "periodic": served.periodic.all() });
    (status, Json(body))
}

/// Ready: it serves, and everything it needs answers.
async fn readyz(State(served): State<Served>) -> impl IntoResponse {
    let report = served.readiness.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn render_metrics(State(served): State<Served>) -> impl IntoResponse {
    // The version of the text format (prometheus.io/docs/instrumenting/exposition_formats).
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], served.metrics.render())
}
