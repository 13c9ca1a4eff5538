//! Opening a session: the one place where a token is made.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use domain::ids::{CustomerId, SessionId};
use store::accounts::sessions::{self, NewSession};

use crate::{
    auth::{
        Auth, Secret,
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

impl<S: Send + Sync> FromRequestParts<S> for Client
where
    Arc<Auth>: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self {
            user_agent: user_agent(&parts.headers),
            before: cookie::token(&Arc::<Auth>::from_ref(state), &parts.headers),
        })
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().take(MAX_USER_AGENT).collect()
}

/// Opens a session for somebody who has just proved who they are; returns the header that hands them its token.
pub(super) async fn open(auth: &Auth, customer: CustomerId, client: Client) -> Result<SetCookie, Problem> {
    let (id, now) = (SessionId::generate(), auth.clock.now());
    let token = Secret::session_token()?;
    let session = NewSession {
        id,
        customer_id: customer,
        token_hash: token.hash(),
        user_agent: client.user_agent,
        expires_at: auth.session_life.expiry(now, now),
        replaces: client.before.map(|before| before.hash()),
    };
    sessions::open(&auth.db, &session, now).await?;
    Ok(cookie::set(auth, &token))
}
