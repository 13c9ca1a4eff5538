//! Who may call: a token in `Authorization: Bearer …`, checked before anything of the request is read.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::{
    agent::Scope,
    token::{self, TokenError},
};

use super::{App, problem::Problem};
use crate::connections::Peer;

/// The middleware around every route of the table.
pub(super) async fn require_scope(
    State((app, scope)): State<(App, Scope)>,
    request: Request,
    next: Next,
) -> Response {
    match check(&app, request.headers(), &[scope]) {
        Ok(()) => {
            if let Some(peer) = request.extensions().get::<Peer>() {
                peer.is_proven();
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// A path that is not in the table: 401 for strangers, 404 for callers.
pub(super) async fn unknown_route(State(app): State<App>, headers: HeaderMap) -> Problem {
    let found = Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such route");
    check(&app, &headers, &Scope::ALL).err().unwrap_or(found)
}

/// A method that a path does not have: 401 for strangers, 405 for callers.
pub(super) async fn unknown_method(State(app): State<App>, headers: HeaderMap) -> Problem {
    let found =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", "the route has no such method");
    check(&app, &headers, &Scope::ALL).err().unwrap_or(found)
}

/// Whether the request's token allows one of `scopes`.
fn check(app: &App, headers: &HeaderMap, scopes: &[Scope]) -> Result<(), Problem> {
    let Some(token) = bearer(headers) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "token_missing", "a bearer token is required"));
    };
    let now = (app.clock)();
    let mut refusal = TokenError::Malformed;
    for scope in scopes {
        match token::verify(&app.trust, token, *scope, now) {
            Ok(()) => return Ok(()),
            Err(error) => refusal = error,
        }
    }
    let status = if refusal.is_forbidden() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
    Err(Problem::new(status, refusal.code(), refusal.to_string()))
}

/// The token; none when the header is missing, repeated or of another scheme.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
