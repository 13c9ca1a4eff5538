//! Opening a session: the one place where a token is made.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use domain::ids::{CustomerId, SessionId};
use store::accounts::sessions::{self, NewSession};

use crate::{
    app::App,
    auth::{
        Secret,
        cookie::{self, SetCookie},
    },
    problem::Problem,
};

/// Longest `User-Agent` that is kept, in characters.
const MAX_USER_AGENT: usize = 256;

/// What a client brings along when it signs in: its name, and the session that it had before, which ends.
pub struct Client {
    user_agent: String,
    before: Option<Secret>,
}

impl FromRequestParts<App> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self { user_agent: user_agent(&parts.headers), before: cookie::token(app, &parts.headers) })
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().take(MAX_USER_AGENT).collect()
}

/// Opens a session for somebody who has just proved who they are; returns the header that hands them its token.
pub(super) async fn open(app: &App, customer: CustomerId, client: Client) -> Result<SetCookie, Problem> {
    let (id, now) = (SessionId::generate(), app.clock.now());
    let token = Secret::session_token()?;
    let session = NewSession {
        id,
        customer_id: customer,
        token_hash: token.hash(),
        user_agent: client.user_agent,
        expires_at: app.session_life.expiry(now, now),
        replaces: client.before.map(|before| before.hash()),
    };
    sessions::open(&app.db, &session, now).await?;
    Ok(cookie::set(app, &token))
}
