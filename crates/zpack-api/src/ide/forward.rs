//! One request to a workspace: who asks, whether it may be, and its way there and back.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use domain::instance::{DesiredPower, Instance, ObservedPower};
use futures_util::{StreamExt as _, stream};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1::SendRequest,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    sync::{Notify, OwnedSemaphorePermit},
    time::timeout,
};

use super::{
    Ide,
    access::{Access, look_up, note_use, token},
    entry, guard,
    headers::{Forwarded, ask_for_websocket, towards_browser, towards_workspace},
    page::Page,
    upstream::{self, Failure},
};
use crate::http::ClientAddress;

/// A body, or the wait for an answer, may stand still so long.
const IDLE: Duration = Duration::from_mins(10);

/// What is given back when a request, or the WebSocket that it becomes, has ended.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Answers a request at a workspace's host.
pub async fn serve(
    ide: &Ide,
    hostname: &str,
    request: Request,
    place: OwnedSemaphorePermit,
) -> Result<Response, Page> {
    let (parts, body) = request.into_parts();
    let origin = ide.site.origin(hostname);
    if guard::is_foreign(&parts.method, &parts.headers, &origin, is_websocket(&parts.headers)) {
        return Err(Page::foreign());
    }
    if parts.uri.path().starts_with(entry::OURS) {
        return entry::serve(ide, hostname, &parts).await;
    }
    let Some(token) = token(ide, &parts.headers) else { return signed_out(ide, hostname, &parts) };
    let found = look_up(ide, token.hash(), hostname).await.map_err(unknown)?;
    let Some(access) = found else {
        // One that opens another workspace is told nothing; one that has ended is as good as none.
        let live = store::ide::is_live(&ide.db, &token.hash(), ide.clock.now()).await.map_err(unknown)?;
        return if live { Err(Page::not_found()) } else { signed_out(ide, hostname, &parts) };
    };
    let portal = entry::portal(ide, hostname);
    if !access.instance.holds.is_empty() {
        return Err(Page::on_hold().with_portal(portal, "To the Portal"));
    }
    note_use(ide, &access).await;
    let failed = |failure| told(&failure, &access.instance).with_portal(portal.clone(), "To the Portal");
    let own_place = ide.upstreams.place(access.instance.id).await.map_err(failed)?;
    pass_on(ide, &access, parts, body, (place, own_place)).await.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn unknown(error: store::StoreError) -> Page {
    tracing::warn!(error = ?error, "a workspace's cookie could not be looked up; the visitor is asked to try again");
    Page::unavailable()
}

/// Nobody is told whether there is such a workspace.
fn signed_out(ide: &Ide, hostname: &str, parts: &Parts) -> Result<Response, Page> {
    if !guard::is_navigation(&parts.method, &parts.headers) {
        return Err(Page::signed_out());
    }
    let headers = [
        (header::LOCATION, entry::portal(ide, hostname)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    Ok((StatusCode::FOUND, headers).into_response())
}

fn told(failure: &Failure, instance: &Instance) -> Page {
    match failure {
        Failure::NotListening if is_coming(instance) => Page::starting(),
        Failure::NotListening => Page::stopped(),
        Failure::Away => Page::away(),
        Failure::Busy => Page::overloaded(),
        Failure::BrokenOff => Page::broken_off(),
    }
}

fn is_coming(instance: &Instance) -> bool {
    instance.desired_power == DesiredPower::Running && instance.observed_power != ObservedPower::Crashed
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

async fn pass_on(
    ide: &Ide,
    access: &Arc<Access>,
    mut parts: Parts,
    body: Body,
    places: Places,
) -> Result<Response, Failure> {
    let websocket = is_websocket(&parts.headers);
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let client = ClientAddress::of(&parts, &ide.trusted_proxies);
    let forwarded = Forwarded {
        host: &ide.site.authority(&access.instance.hostname),
        scheme: ide.site.scheme(),
        client: client.0,
    };
    let mut headers = towards_workspace(&parts.headers, forwarded);
    if websocket {
        ask_for_websocket(&mut headers);
    }
    let moved = Arc::new(Notify::new());
    let mut onward = hyper::Request::new(noticed(body, &moved));
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = path_of(&parts.uri);
    *onward.headers_mut() = headers;
    let sending = upstream::send(ide, &access.instance, onward);
    let (response, sender) = unless_still(sending, &moved).await?;
    match (response.status(), upgrade) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(browser)) if websocket => {
            Ok(connect(ide, access, browser, response, places))
        }
        (StatusCode::SWITCHING_PROTOCOLS, _) => Err(Failure::BrokenOff),
        _ => Ok(answer(ide, access, response, sender, places)),
    }
}

/// Path and query: what an IDE's server is asked for.
fn path_of(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from)
}

/// The same body, telling whenever a part of it was taken.
fn noticed(body: Body, moved: &Arc<Notify>) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let taken = moved.clone();
    Body::from_stream(body.into_data_stream().inspect(move |_| taken.notify_one()))
}

async fn unless_still<T>(
    sending: impl Future<Output = Result<T, Failure>>,
    moved: &Notify,
) -> Result<T, Failure> {
    let mut sending = std::pin::pin!(sending);
    loop {
        tokio::select! {
            answer = &mut sending => return answer,
            in_time = timeout(IDLE, moved.notified()) => in_time.map_err(|_| Failure::BrokenOff)?,
        }
    }
}

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer on its way to the browser.
struct Passing {
    body: axum::body::BodyDataStream,
    ended: Ended,
    ide: Ide,
    access: Arc<Access>,
    /// Until it is known to be of use again.
    sender: Option<SendRequest<Body>>,
    _places: Places,
}

impl Passing {
    /// The connection may be used again as soon as the answer's last byte was taken. The server below does not look for
    /// an end where the length tells it.
    fn let_go_at_the_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(sender) = self.sender.take()
        {
            upstream::keep(&self.ide, self.access.instance.id, sender);
        }
    }
}

fn cut(why: io::ErrorKind) -> axum::Error {
    axum::Error::new(io::Error::from(why))
}

/// The answer, whose body ends when the right to read it does.
fn answer(
    ide: &Ide,
    access: &Arc<Access>,
    response: hyper::Response<Incoming>,
    sender: SendRequest<Body>,
    places: Places,
) -> Response {
    let (parts, body) = response.into_parts();
    let mut passing = Passing {
        body: Body::new(body).into_data_stream(),
        ended: Box::pin(access.clone().ended(ide.clone())),
        ide: ide.clone(),
        access: access.clone(),
        sender: Some(sender),
        _places: places,
    };
    passing.let_go_at_the_end();
    let body = stream::unfold(Some(passing), |passing| async {
        let mut passing = passing?;
        let next = tokio::select! {
            next = timeout(IDLE, passing.body.next()) => next.unwrap_or(Some(Err(cut(io::ErrorKind::TimedOut)))),
            () = &mut passing.ended => Some(Err(cut(io::ErrorKind::PermissionDenied))),
        };
        match next {
            Some(Ok(chunk)) => {
                passing.let_go_at_the_end();
                Some((Ok(chunk), Some(passing)))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                passing.let_go_at_the_end();
                None
            }
        }
    });
    let mut answer = Response::new(Body::from_stream(body));
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = towards_browser(&parts.headers);
    answer
}

/// Makes one connection of two, until one side or the right to it ends.
fn connect(
    ide: &Ide,
    access: &Arc<Access>,
    browser: OnUpgrade,
    mut response: hyper::Response<Incoming>,
    places: Places,
) -> Response {
    let workspace = hyper::upgrade::on(&mut response);
    let (ended, id) = (access.clone().ended(ide.clone()), access.instance.id);
    tokio::spawn(async move {
        let _places = places;
        let (browser, workspace) = match tokio::try_join!(browser, workspace) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(instance = %id, %error, "a WebSocket ended before it began"),
        };
        metrics::gauge!("zlh_ide_websockets").increment(1);
        let (mut browser, mut workspace) = (TokioIo::new(browser), TokioIo::new(workspace));
        tokio::select! {
            // How it ended makes no difference: both connections are dropped.
            _ = copy_bidirectional(&mut browser, &mut workspace) => {}
            () = ended => tracing::info!(instance = %id, "a connection to workspace {id} was ended: its session, or the right to open it, has ended"),
        }
        metrics::gauge!("zlh_ide_websockets").decrement(1);
    });
    let mut answer = StatusCode::SWITCHING_PROTOCOLS.into_response();
    *answer.headers_mut() = towards_browser(response.headers());
    ask_for_websocket(answer.headers_mut());
    answer
}
