//! The HTTP server of health and metrics.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::Path,
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::json;
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinHandle,
};

use super::Readiness;
use crate::{config::Listen, metrics::Metrics, periodic::Tasks, systemd::Heartbeats};

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
    address: Listen,
    task: JoinHandle<()>,
}

impl HealthServer {
    /// Listens there and serves `routes`.
    pub async fn start(listen: &Listen, routes: Router) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = Listen::Tcp(listener.local_addr()?);
                Ok(Self { address, task: tokio::spawn(ended(axum::serve(listener, routes).into_future())) })
            }
            Listen::Unix(path) => {
                let listener = bind_unix(path)?;
                let task = tokio::spawn(ended(axum::serve(listener, routes).into_future()));
                Ok(Self { address: listen.clone(), task })
            }
        }
    }

    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> &Listen {
        &self.address
    }
}

async fn ended(serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "the health server ended ({error}); health and metrics cannot be read until a restart");
    }
}

/// A socket in the place of one that a killed daemon has left. Its owner and group may connect.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let left = |path| fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if left(path) && std::os::unix::net::UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("health.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listen = Listen::Unix(path.clone());
        let server = HealthServer::start(&listen, Router::new()).await.unwrap();
        assert_eq!(server.address(), &listen);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let again = HealthServer::start(&listen, Router::new()).await;
        assert_eq!(again.err().unwrap().kind(), io::ErrorKind::AddrInUse);
    }
}
