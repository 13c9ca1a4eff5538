//! `GET /edge/traefik`: every route for Traefik's HTTP provider, made from the rows each time. It is whole or an error: Traefik
//! keeps what it had unless it is answered with 200, and an empty 200 takes every route away.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
};
use domain::edge::TraefikRoutes;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use store::instances::{host_routes, port_routes};

use crate::{
    app::App,
    problem::{Code, Problem},
};

/// The service of DNS whose servers Velocity is in front of.
const MINECRAFT: &str = "minecraft";

/// Answers Traefik.
pub async fn routes(State(app): State<App>, headers: HeaderMap) -> Result<Json<TraefikRoutes>, Problem> {
    let section = &app.traefik;
    if section.token.expose_secret().is_empty() {
        return Err(Problem::new(Code::NotFound, "No traefik.token is set, so there are no routes here."));
    }
    if !is_token(&headers, &section.token) {
        return Err(Problem::new(
            Code::Unauthenticated,
            "Traefik shows its token in `Authorization: Bearer`.",
        ));
    }
    let without = (!section.minecraft).then_some(MINECRAFT);
    let ports = port_routes(&app.db, without).await?;
    let hosts = match section.workspaces_url.as_str() {
        "" => Vec::new(),
        _ => host_routes(&app.db, &app.workspaces_domain).await?,
    };
    let routes = TraefikRoutes::new(&ports, &hosts, &section.workspaces_url).map_err(|error| {
        tracing::error!("{error}; Traefik keeps the routes it has until this is mended");
        Problem::new(Code::RoutesConflict, error.to_string())
    })?;
    Ok(Json(routes))
}

/// Compares hashes, so that the time that it takes says nothing of the token.
fn is_token(headers: &HeaderMap, token: &SecretString) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
    shown.is_some_and(|shown| Sha256::digest(shown) == Sha256::digest(token.expose_secret()))
}
