//! Recognising who asks, by API key or by session cookie.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
};
use chrono::TimeDelta;
use domain::{
    account::{ApiKey, ApiScope, Customer, Role, Session},
    ids::CustomerId,
};
use store::accounts::{api_keys, customers, sessions};

use super::{API_KEY_PREFIX, Auth, Secret, cookie};
use crate::{
    events::CredentialId,
    problem::{Code, Problem},
    share::Share,
};

/// How stale `last_seen_at` may be: reading must not cost a write each time.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(5);
/// How stale `last_used_at` may be.
const USED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Somebody who was recognised and whose account is in order. What they may do, this does not say: take
/// [`May`](super::May), [`Owned`](super::Owned), [`SignedIn`] or [`Operator`](super::Operator).
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub customer: Customer,
    /// How it was recognised.
    pub credential: Credential,
    /// Held as long as somebody works for them.
    _request: Arc<Share<CustomerId>>,
}

/// What a caller was recognised by.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A signed-in person.
    Session(Session),
    /// A script.
    Key(ApiKey),
    /// An operator who looks at the account as its owner sees it, with this session of their own.
    View(Session),
}

/// Which customer an operator looks at as they see themselves: their id.
const VIEW_AS: HeaderName = HeaderName::from_static("zlh-view-as");

/// For streams and consoles, which end with what they were opened with.
impl From<&Credential> for CredentialId {
    fn from(credential: &Credential) -> Self {
        match credential {
            Credential::Session(session) | Credential::View(session) => Self::Session(session.id),
            Credential::Key(key) => Self::Key(key.id),
        }
    }
}

impl Caller {
    /// Whether this may be done. A session may do whatever its account may.
    pub fn has(&self, scope: ApiScope) -> bool {
        match &self.credential {
            Credential::Session(_) => true,
            Credential::Key(key) => key.scopes.contains(&scope),
            // What is the customer's own stays theirs: files, backups, what is said on a console.
            Credential::View(_) => {
                matches!(scope, ApiScope::InstancesRead | ApiScope::Schedules | ApiScope::AccountRead)
            }
        }
    }

    /// As the audit log names them.
    pub fn actor(&self) -> String {
        match &self.credential {
            Credential::Session(_) | Credential::View(_) => format!("customer:{}", self.customer.id),
            Credential::Key(key) => format!("key:{}", key.id),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = Arc::<Auth>::from_ref(state);
        let found = match parts.headers.get(header::AUTHORIZATION) {
            Some(_) => by_key(&auth, &parts.headers).await?,
            None => by_session(&auth, &parts.headers).await?,
        };
        let detail = "Your session or API key is missing, has ended or was revoked.";
        let (customer, credential) = found.ok_or_else(|| Problem::new(Code::Unauthenticated, detail))?;
        if customer.disabled_at.is_some() {
            return Err(Problem::new(Code::AccountDisabled, "Ask the operator of this installation."));
        }
        let (customer, credential) = match (credential, parts.headers.get(VIEW_AS)) {
            (Credential::Session(session), Some(whom)) => {
                let viewed = view(&auth, &customer, whom, &parts.method).await?;
                (viewed, Credential::View(session))
            }
            other => (customer, other.0),
        };
        tracing::Span::current().record("customer", tracing::field::display(customer.id));
        let request = auth.requests.take(customer.id).ok_or_else(|| too_many(auth.requests.most()))?;
        Ok(Self { customer, credential, _request: Arc::new(request) })
    }
}

/// The account that an operator looks at. Nothing is changed by it.
async fn view(
    auth: &Auth,
    operator: &Customer,
    whom: &HeaderValue,
    method: &Method,
) -> Result<Customer, Problem> {
    if operator.role != Role::Operator {
        return Err(Problem::new(Code::OperatorOnly, "Your account is a customer's."));
    }
    if method != Method::GET {
        let detail = "You see what the customer sees. Nothing can be changed this way, and nothing was.";
        return Err(Problem::new(Code::ViewIsReadOnly, detail));
    }
    let whom =
        whom.to_str().ok().and_then(|id| id.parse::<CustomerId>().ok()).ok_or_else(Problem::not_found)?;
    let viewed = customers::viewed(&auth.db, whom, &operator_actor(operator)).await?;
    let detail = "Say first why you look: POST /api/operator/customers/{id}/view. It holds for an hour.";
    viewed.ok_or_else(|| Problem::new(Code::ViewNotBegun, detail))
}

/// An operator, as the audit log names them.
pub fn operator_actor(operator: &Customer) -> String {
    format!("operator:{}", operator.email)
}

fn too_many(most: usize) -> Problem {
    let detail = format!(
        "Your account may have {most} requests under way at the same time. Nothing was done; try again in a moment."
    );
    Problem::new(Code::TooManyRequests, detail).retry_after(1)
}

async fn by_key(auth: &Auth, headers: &HeaderMap) -> Result<Option<(Customer, Credential)>, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bearer = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = bearer.map(|(_, key)| key.trim()).filter(|key| key.starts_with(API_KEY_PREFIX));
    let Some(secret) = key.and_then(Secret::given) else { return Ok(None) };
    let now = auth.clock.now();
    let Some((key, customer)) = api_keys::find(&auth.db, &secret.hash(), now).await? else { return Ok(None) };
    if key.last_used_at.is_none_or(|used| now - used > USED_EVERY) {
        api_keys::touch(&auth.db, key.id, now).await?;
    }
    Ok(Some((customer, Credential::Key(key))))
}

async fn by_session(auth: &Auth, headers: &HeaderMap) -> Result<Option<(Customer, Credential)>, Problem> {
    let Some(token) = cookie::token(auth, headers) else { return Ok(None) };
    let now = auth.clock.now();
    let Some((session, customer)) = sessions::find(&auth.db, &token.hash(), now).await? else {
        return Ok(None);
    };
    if now - session.last_seen_at > SEEN_EVERY {
        let expires_at = auth.session_life.expiry(session.created_at, now);
        sessions::prolong(&auth.db, session.id, expires_at, now).await?;
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

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let detail = "An API key may not do this, whatever its scopes. Sign in.";
        match caller.credential {
            Credential::Session(session) => Ok(Self { customer: caller.customer, session, _made_here: () }),
            Credential::Key(_) => Err(Problem::new(Code::SessionRequired, detail)),
            Credential::View(_) => {
                let detail = "This is the customer's own, and not shown to operators.";
                Err(Problem::new(Code::SessionRequired, detail))
            }
        }
    }
}
