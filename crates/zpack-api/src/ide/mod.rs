//! Development workspaces in a browser: a reverse proxy, by host name, to the IDE in a workspace's container.
//!
//! A one-time ticket, made for a signed-in person, becomes a cookie of the workspace's own host ([`entry`]). Each request
//! is checked against rows ([`access`]), stripped of whatever is ours ([`headers`]) and sent through a tunnel of the
//! workspace's agent ([`upstream`]).
//!
//! Architecture invariant: a request whose host is below the domain of the workspaces never reaches the API, and no other
//! request reaches a workspace.

mod access;
mod entry;
mod forward;
mod guard;
mod headers;
mod idle;
mod page;
mod site;
mod upstream;

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use chrono::TimeDelta;
use domain::clock::Clock;
use store::Db;
use tokio::sync::Semaphore;

pub use entry::{Ticket, make_ticket};
pub use idle::stop_idle;

use self::{access::Accesses, page::Page, site::Host, upstream::Upstreams};
use crate::{agent::Agents, auth::Auth, config::IdeSection, http::TrustedProxies};

/// Requests and WebSockets of all workspaces together.
const MAX_AT_ONCE: usize = 4_096;

/// What the proxy keeps in memory.
#[derive(Clone)]
pub struct Ide(Arc<Inner>);

/// What serving workspaces takes.
pub struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    agents: Agents,
    auth: Arc<Auth>,
    trusted_proxies: TrustedProxies,
    site: site::Site,
    settings: IdeSection,
    accesses: Accesses,
    upstreams: Upstreams,
    load: Arc<Semaphore>,
}

impl Deref for Ide {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Ide {
    /// Fails if the public address is below the workspaces' domain.
    pub fn new(
        settings: &IdeSection,
        auth: Arc<Auth>,
        agents: Agents,
        trusted_proxies: TrustedProxies,
    ) -> Result<Self, String> {
        Ok(Self(Arc::new(Inner {
            site: site::Site::new(&settings.domain, &auth.public_url)?,
            db: auth.db.clone(),
            clock: auth.clock.clone(),
            agents,
            trusted_proxies,
            auth,
            settings: settings.clone(),
            accesses: Accesses::default(),
            upstreams: Upstreams::default(),
            load: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        })))
    }
}

impl Ide {
    /// After which time a workspace that nobody uses is stopped; `None` for never.
    pub fn idle_after(&self) -> Option<TimeDelta> {
        let minutes = self.settings.idle_stop_minutes;
        (minutes > 0).then(|| TimeDelta::minutes(minutes.into()))
    }
}

/// Decides by its host whose a request is.
pub async fn by_host(State(ide): State<Ide>, request: Request, next: Next) -> Response {
    let response = match ide.site.of_request(request.uri(), request.headers()) {
        Host::Elsewhere => return next.run(request).await,
        Host::Nobody => Page::not_found().into_response_for(page::Reader::of(&request)),
        Host::Workspace(hostname) => {
            let reader = page::Reader::of(&request);
            let answered = match Arc::clone(&ide.load).try_acquire_owned() {
                Ok(place) => forward::serve(&ide, &hostname, request, place).await,
                Err(_) => Err(Page::overloaded()),
            };
            answered.unwrap_or_else(|page| page.into_response_for(reader))
        }
    };
    finish(&ide, response)
}

/// What every answer below our domain has.
fn finish(ide: &Ide, mut response: Response) -> Response {
    let status = match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => "websocket".to_owned(),
        status => format!("{}xx", status.as_u16() / 100),
    };
    metrics::counter!("zlh_ide_requests_total", "status" => status).increment(1);
    if ide.auth.public_url.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}
