//! `GET /v1/tunnel`: the connection itself becomes one to the workspace's IDE.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::agent::TUNNEL_PROTOCOL;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::{App, problem::Problem};
use crate::tunnel::TunnelRefused;

/// Connects to the IDE first, and only then changes the protocol: a refusal is an ordinary answer.
pub(super) async fn open(State(app): State<App>, mut request: Request) -> Result<Response, Problem> {
    let asks = Problem::new(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade_required",
        format!("ask for Upgrade: {TUNNEL_PROTOCOL}"),
    );
    if !asks_for_tunnel(request.headers()) {
        return Err(asks);
    }
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(asks)?;
    let tunnel = app.tunnels.open().await.map_err(|refusal| refused(&refusal))?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(peer) => tunnel.carry(TokioIo::new(peer)).await,
            Err(error) => debug!(%error, "a tunnel's connection was gone before it began"),
        }
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static(TUNNEL_PROTOCOL)),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

fn asks_for_tunnel(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(TUNNEL_PROTOCOL.as_bytes()))
}

fn refused(refusal: &TunnelRefused) -> Problem {
    match refusal {
        TunnelRefused::TooMany => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_tunnels", refusal.to_string())
        }
        TunnelRefused::NothingListens(_) => {
            Problem::new(StatusCode::CONFLICT, "ide_not_running", refusal.to_string())
        }
    }
}
