//! Opening a workspace: a ticket for a signed-in person, and the cookie that it becomes at the workspace's own host.

use axum::{
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    account::Session,
    instance::{Instance, InstanceKind, Lifecycle, PowerRefusal},
};
use store::ide::{self, NewIdeSession, NewTicket};
use uuid::Uuid;

use super::{
    Ide,
    access::{cookie_name, look_up, token},
    page::Page,
};
use crate::{
    auth::Secret,
    problem::{Code, Problem},
};

/// Below this everything is ours, at every workspace's host.
pub const OURS: &str = "/.zlh/";
const ENTER: &str = "/.zlh/enter";

/// Opens a workspace once.
pub struct Ticket {
    /// To be opened in a browser.
    pub url: String,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// A ticket for somebody's own workspace.
pub async fn make_ticket(ide: &Ide, session: &Session, instance: &Instance) -> Result<Ticket, Problem> {
    if instance.kind != InstanceKind::Dev {
        return Err(Problem::new(Code::NotAWorkspace, "Game servers have no editor to open."));
    }
    if instance.lifecycle != Lifecycle::Active {
        return Err(PowerRefusal::NotActive(instance.lifecycle).into());
    }
    if let Some(hold) = instance.holds.first() {
        return Err(PowerRefusal::OnHold(hold.reason).into());
    }
    let secret = Secret::session_token()?;
    let expires_at = ide.clock.now() + TimeDelta::seconds(ide.settings.ticket_seconds.into());
    let ticket = NewTicket {
        ticket_hash: secret.hash(),
        instance_id: instance.id,
        session_id: session.id,
        expires_at,
    };
    ide::put_ticket(&ide.db, &ticket).await?;
    let origin = ide.site.origin(&instance.hostname);
    Ok(Ticket { url: format!("{origin}{ENTER}?ticket={}", secret.expose()), expires_at })
}

/// Where the Portal asks somebody to sign in, and then opens this workspace.
pub fn portal(ide: &Ide, hostname: &str) -> String {
    format!("{}/?ide={hostname}", ide.auth.public_url.origin())
}

/// Answers for our own part of a workspace's host.
pub async fn serve(ide: &Ide, hostname: &str, parts: &Parts) -> Result<Response, Page> {
    if parts.uri.path() != ENTER || !parts.method.is_safe() {
        return Err(Page::not_found());
    }
    let query = parts.uri.query().unwrap_or_default();
    let ticket = query.split('&').find_map(|pair| pair.strip_prefix("ticket=")).and_then(Secret::given);
    let ticket = ticket.ok_or_else(|| spent(ide, hostname))?;
    let (Ok(secret), now) = (Secret::session_token(), ide.clock.now()) else {
        return Err(Page::overloaded());
    };
    let life = TimeDelta::hours(ide.settings.session_hours.into());
    let new = NewIdeSession { id: Uuid::now_v7(), token_hash: secret.hash(), expires_at: now + life };
    match ide::redeem(&ide.db, &ticket.hash(), hostname, &new, now).await {
        Ok(true) => Ok(enter(Some(cookie(ide, &secret, life)))),
        // A link that is followed twice, by somebody who is inside already.
        Ok(false) if is_inside(ide, hostname, parts).await => Ok(enter(None)),
        Ok(false) => Err(spent(ide, hostname)),
        Err(error) => {
            tracing::warn!(error = ?error, "a workspace's ticket could not be looked up; the visitor is asked to try again");
            Err(Page::unavailable())
        }
    }
}

fn spent(ide: &Ide, hostname: &str) -> Page {
    Page::ticket_spent().with_portal(portal(ide, hostname), "To the Portal")
}

async fn is_inside(ide: &Ide, hostname: &str, parts: &Parts) -> bool {
    let Some(token) = token(ide, &parts.headers) else { return false };
    look_up(ide, token.hash(), hostname).await.is_ok_and(|access| access.is_some())
}

fn enter(cookie: Option<HeaderValue>) -> Response {
    let headers = [
        (header::LOCATION, "/"),
        (header::CACHE_CONTROL, "no-store"),
        // The address has the ticket in it.
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn cookie(ide: &Ide, secret: &Secret, life: TimeDelta) -> HeaderValue {
    let (name, value, seconds) = (cookie_name(ide), secret.expose(), life.num_seconds());
    let secure = if ide.auth.public_url.is_https() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
