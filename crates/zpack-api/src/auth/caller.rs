//! Recognising who asks, by API key or by session cookie.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use chrono::TimeDelta;
use domain::account::{ApiKey, ApiScope, Customer, Session};
use store::accounts::{api_keys, sessions};

use super::{API_KEY_PREFIX, Secret, cookie};
use crate::{
    app::App,
    problem::{Code, Problem},
};

/// How stale `last_seen_at` may be: reading must not cost a write each time.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(5);
/// How stale `last_used_at` may be.
const USED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Somebody who was recognised and whose account is in order. What they may do, this does not say: take
/// [`May`](super::May), [`Owned`](super::Owned), [`SignedIn`] or [`Operator`](super::Operator).
#[derive(Clone, Debug)]
#[expect(
    clippy::manual_non_exhaustive,
    reason = "that attribute would let the handlers of this crate make one"
)]
pub struct Caller {
    /// The account.
    pub customer: Customer,
    /// How it was recognised.
    pub credential: Credential,
    _made_here: (),
}

/// What a caller was recognised by.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A signed-in person.
    Session(Session),
    /// A script.
    Key(ApiKey),
}

impl Caller {
    /// Whether this may be done. A session may do whatever its account may.
    pub fn has(&self, scope: ApiScope) -> bool {
        match &self.credential {
            Credential::Session(_) => true,
            Credential::Key(key) => key.scopes.contains(&scope),
        }
    }

    /// As the audit log names them.
    pub fn actor(&self) -> String {
        match &self.credential {
            Credential::Session(_) => format!("customer:{}", self.customer.id),
            Credential::Key(key) => format!("key:{}", key.id),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let found = match parts.headers.get(header::AUTHORIZATION) {
            Some(_) => by_key(app, &parts.headers).await?,
            None => by_session(app, &parts.headers).await?,
        };
        let detail = "Your session or API key is missing, has ended or was revoked.";
        let (customer, credential) = found.ok_or_else(|| Problem::new(Code::Unauthenticated, detail))?;
        if customer.disabled_at.is_some() {
            return Err(Problem::new(Code::AccountDisabled, "Ask the operator of this installation."));
        }
        tracing::Span::current().record("customer", tracing::field::display(customer.id));
        Ok(Self { customer, credential, _made_here: () })
    }
}

async fn by_key(app: &App, headers: &HeaderMap) -> Result<Option<(Customer, Credential)>, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bearer = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = bearer.map(|(_, key)| key.trim()).filter(|key| key.starts_with(API_KEY_PREFIX));
    let Some(secret) = key.and_then(Secret::given) else { return Ok(None) };
    let now = app.clock.now();
    let Some((key, customer)) = api_keys::find(&app.db, &secret.hash(), now).await? else { return Ok(None) };
    if key.last_used_at.is_none_or(|used| now - used > USED_EVERY) {
        api_keys::touch(&app.db, key.id, now).await?;
    }
    Ok(Some((customer, Credential::Key(key))))
}

async fn by_session(app: &App, headers: &HeaderMap) -> Result<Option<(Customer, Credential)>, Problem> {
    let Some(token) = cookie::token(app, headers) else { return Ok(None) };
    let now = app.clock.now();
    let Some((session, customer)) = sessions::find(&app.db, &token.hash(), now).await? else {
        return Ok(None);
    };
    if now - session.last_seen_at > SEEN_EVERY {
        let expires_at = app.session_life.expiry(session.created_at, now);
        sessions::prolong(&app.db, session.id, expires_at, now).await?;
    }
    Ok(Some((customer, Credential::Session(session))))
}

/// A person with a session: for what a script may not do, such as passwords and API keys.
#[derive(Clone, Debug)]
#[expect(
    clippy::manual_non_exhaustive,
    reason = "that attribute would let the handlers of this crate make one"
)]
pub struct SignedIn {
    /// The account.
    pub customer: Customer,
    /// Their session.
    pub session: Session,
    _made_here: (),
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let detail = "An API key may not do this, whatever its scopes. Sign in.";
        match caller.credential {
            Credential::Session(session) => Ok(Self { customer: caller.customer, session, _made_here: () }),
            Credential::Key(_) => Err(Problem::new(Code::SessionRequired, detail)),
        }
    }
}
