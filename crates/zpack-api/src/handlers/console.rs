//! `/api/instances/{id}/console`: the socket, and the same for scripts.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    agent::ConsoleQuery,
    enforcement::{Gate, Stage},
    instance::{Instance, Lifecycle, PowerRefusal},
};
use garde::Validate;
use integrations::agent::{AgentError, AgentSession};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    agent::{Agents, call},
    auth::{Credential, Owned, UseConsole, WatchConsole},
    config::PublicUrl,
    console::{self, Consoles, protocol},
    extract::{ValidJson, ValidQuery},
    problem::{Code, Problem},
    rate_limit::RateLimits,
    view::{ConsoleEntryView, ConsoleHistoryView},
};

/// Largest message of a client, in bytes: an input of 4 KiB, each byte of it escaped.
const MAX_MESSAGE: usize = 32 * 1024;
/// Buffers of each socket, in bytes.
const BUFFER: usize = 4 * 1024;

/// A server's console, as a WebSocket. docs/console.md has the protocol.
///
/// A browser's session is accepted from this API's own origin only. Who may not see the console is answered before the
/// upgrade; a server that is not active or on hold, and too many sockets, by a close code, for a browser's script sees
/// nothing else.
#[utoipa::path(
    get, path = "/instances/{id}/console", tag = "console", operation_id = "openConsole",
    params(("id" = Uuid, Path)),
    responses((status = 101, description = "The protocol of docs/console.md follows")),
    security(("session" = []), ("api_key" = ["instances:console"]))
)]
pub async fn open(
    State(consoles): State<Consoles>,
    State(public_url): State<PublicUrl>,
    Owned { it, caller }: Owned<Instance, WatchConsole>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| not_an_upgrade(&rejection))?;
    if matches!(caller.credential, Credential::Session(_)) {
        same_origin(&public_url, &headers)?;
    }
    let place = match standing(&it, caller.customer.stage) {
        Ok(()) => consoles.enter(caller.customer.id, (&caller.credential).into(), it.id),
        Err(close) => Err(close),
    };
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER);
    Ok(upgrade.on_upgrade(async move |socket| match place {
        Ok(place) => consoles.spawn(console::serve(consoles.clone(), place, socket)),
        Err(close) => console::refuse(socket, close).await,
    }))
}

fn not_an_upgrade(rejection: &WebSocketUpgradeRejection) -> Problem {
    Problem::new(Code::UpgradeRequired, format!("Open it as a WebSocket over HTTP/1.1: {rejection}"))
}

/// A browser sends the cookie whichever site opens the socket, so the site has to be ours.
fn same_origin(public_url: &PublicUrl, headers: &HeaderMap) -> Result<(), Problem> {
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default());
    let ours = public_url.origin();
    if origin == Some(ours) {
        return Ok(());
    }
    let detail = format!(
        "A session's console can be opened from {ours} only (header Origin). Scripts use an API key."
    );
    Err(Problem::new(Code::CsrfRejected, detail))
}

/// A browser's script sees nothing of an answer before the upgrade: a payment that is open is told as the hold that it leads to.
fn standing(instance: &Instance, stage: Stage) -> Result<(), protocol::Close> {
    if instance.lifecycle != Lifecycle::Active {
        return Err(protocol::Close::Deleted);
    }
    let open = instance.holds.is_empty() && stage.allows(Gate::Console);
    if open { Ok(()) } else { Err(protocol::Close::OnHold) }
}

/// One line for a server's console.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Without its end. At most 4 KiB.
    #[garde(length(bytes, min = 1, max = 4096))]
    #[schema(min_length = 1, max_length = 4096)]
    command: String,
}

/// Types a line into a server's console. Its output is in the history.
#[utoipa::path(
    post, path = "/instances/{id}/console/commands", tag = "console", operation_id = "sendConsoleCommand",
    params(("id" = Uuid, Path)),
    request_body = Command,
    responses((status = 202)),
    security(("session" = []), ("api_key" = ["instances:console"]))
)]
pub async fn command(
    State(agents): State<Agents>,
    State(rate_limits): State<Arc<RateLimits>>,
    Owned { it, .. }: Owned<Instance, UseConsole>,
    ValidJson(body): ValidJson<Command>,
) -> Result<impl IntoResponse, Problem> {
    rate_limits.command(it.id)?;
    console::type_line(&agents, &it, &body.command).await?;
    Ok(StatusCode::ACCEPTED)
}

fn reachable(instance: &Instance) -> Result<(), Problem> {
    match instance.lifecycle {
        Lifecycle::Active => Ok(()),
        other => Err(PowerRefusal::NotActive(other).into()),
    }
}

async fn read(
    session: &dyn AgentSession,
    from: u64,
    limit: usize,
) -> Result<domain::agent::ConsolePage, AgentError> {
    call(session.console_read(ConsoleQuery { from, wait_ms: 0, limit: Some(limit) })).await
}

/// Which part of a console's memory is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Entries after this number; the last ones without it.
    since: Option<u64>,
    /// Most entries, 1 to 1,000; 200 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// What a server has printed. To follow it, ask again with the last entry's number as `since`.
#[utoipa::path(
    get, path = "/instances/{id}/console/history", tag = "console", operation_id = "getConsoleHistory",
    params(("id" = Uuid, Path), Wanted),
    responses((status = 200, body = ConsoleHistoryView)),
    security(("session" = []), ("api_key" = ["instances:console"]))
)]
pub async fn history(
    State(agents): State<Agents>,
    Owned { it, .. }: Owned<Instance, WatchConsole>,
    ValidQuery(wanted): ValidQuery<Wanted>,
) -> Result<Json<ConsoleHistoryView>, Problem> {
    reachable(&it)?;
    let limit = wanted.limit.unwrap_or(200);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::new(Code::InvalidParameter, "limit is 1 to 1000."));
    }
    let page = async {
        let session = agents.session(&it).await?;
        let from = match wanted.since {
            Some(since) => since.saturating_add(1),
            None => read(&*session, 0, 1).await?.next.saturating_sub(limit as u64).max(1),
        };
        Ok((from, read(&*session, from, limit).await?))
    };
    let (from, page) =
        page.await.map_err(|error: AgentError| Problem::agent_away(&error, "Nothing was changed."))?;
    let lost = wanted.since.is_some() && page.first > from;
    Ok(Json(ConsoleHistoryView {
        first: page.first,
        next: page.next,
        gap: lost.then_some(crate::view::GapView { from, to: page.first.saturating_sub(1) }),
        entries: page.entries.into_iter().map(ConsoleEntryView::from).collect(),
    }))
}
