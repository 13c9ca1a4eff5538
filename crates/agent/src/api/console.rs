//! The console: output by number, input, the terminal's size; and what the game uses.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use domain::agent::{
    AgentState, ConsoleEntry, ConsoleInput, ConsoleMode, ConsolePage, ConsoleQuery, ConsoleSize,
    MAX_CONSOLE_INPUT_BYTES, MAX_CONSOLE_PAGE_BYTES, MAX_CONSOLE_WAIT_MS, ServiceStats,
};
use shim::output_log::Entry;
use tokio::task::spawn_blocking;

use super::{App, problem::Problem};
use crate::process::{host::NotTaken, usage};

/// Most entries of a page.
const MAX_ENTRIES: usize = 2_000;
/// Columns and rows that a terminal may have.
const SIZES: std::ops::RangeInclusive<u16> = 1..=1_000;

/// Output from a number on; waits for the first when asked to.
pub(super) async fn read(
    State(app): State<App>,
    query: Result<Query<ConsoleQuery>, QueryRejection>,
) -> Result<Json<ConsolePage>, Problem> {
    let Query(query) = query?;
    let from = query.from.max(1);
    let output = &app.service.host().output;
    output.wait_for(from, Duration::from_millis(query.wait_ms.min(MAX_CONSOLE_WAIT_MS))).await;
    // Before the look: what is told already must be found.
    let told = output.next();
    let count = query.limit.unwrap_or(MAX_ENTRIES).clamp(1, MAX_ENTRIES);
    let part = output.read(from, count, MAX_CONSOLE_PAGE_BYTES).await.map_err(|error| unreadable(&error))?;
    let next = part.entries.last().map_or(told, |last| told.max(last.seq + 1));
    // Written and lost, with nothing after it yet.
    let first = if part.entries.is_empty() && from < told { told } else { part.first };
    let entries = part.entries.into_iter().map(entry).collect();
    Ok(Json(ConsolePage { mode: mode(&app), first, next, entries }))
}

/// Types something in; answers once the game's side has taken it.
pub(super) async fn input(
    State(app): State<App>,
    body: Result<Json<ConsoleInput>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(ConsoleInput { text }) = body?;
    if text.len() > MAX_CONSOLE_INPUT_BYTES {
        let detail = format!("at most {MAX_CONSOLE_INPUT_BYTES} bytes at once");
        return Err(Problem::invalid("input_too_long", detail));
    }
    if mode(&app) == ConsoleMode::Pipes && text.contains(['\n', '\r', '\0']) {
        return Err(Problem::invalid("input_invalid", "one line, without its end"));
    }
    app.service.host().type_in(text).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells the game's terminal its size.
pub(super) async fn resize(
    State(app): State<App>,
    body: Result<Json<ConsoleSize>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(size) = body?;
    if !(SIZES.contains(&size.columns) && SIZES.contains(&size.rows)) {
        return Err(Problem::invalid("size_invalid", "columns and rows: 1 to 1000"));
    }
    app.service.host().resize(size).await;
    Ok(StatusCode::NO_CONTENT)
}

/// What the game's processes use at this moment.
pub(super) async fn stats(State(app): State<App>) -> Result<Json<ServiceStats>, Problem> {
    let disk_bytes = app.disk_usage.load(Ordering::Relaxed);
    let disk_limit_bytes = app.service.spec().and_then(|spec| spec.disk_limit_bytes);
    let down = ServiceStats { disk_bytes, disk_limit_bytes, ..ServiceStats::default() };
    let Some(run) = app.service.host().game() else { return Ok(Json(down)) };
    let (pid, instance) = (run.pid, app.trust.instance_id.to_string());
    let used = spawn_blocking(move || usage::of(pid, &instance));
    let used = used.await.map_err(|error| unreadable(&std::io::Error::other(error)))?;
    let uptime = (app.clock)().timestamp_millis() - run.started_ms;
    let uptime_ms = u64::try_from(uptime).unwrap_or_default();
    let running = app.service.spec().filter(|_| app.service.state() == AgentState::Running);
    let players = match running {
        Some(spec) => app.players.of(&spec.ready.probe, run.pid).await,
        None => None,
    };
    let (cpu_ms, memory_bytes) = (used.cpu_ms, used.memory_bytes);
    Ok(Json(ServiceStats { cpu_ms, memory_bytes, uptime_ms, players, ..down }))
}

/// Of what runs, or else of what is to run.
fn mode(app: &App) -> ConsoleMode {
    let running = app.service.host().game().map(|run| run.mode);
    running.or_else(|| app.service.spec().map(|spec| spec.run.console)).unwrap_or_default()
}

fn entry(entry: Entry) -> ConsoleEntry {
    let text = String::from_utf8(entry.text);
    let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    ConsoleEntry { seq: entry.seq, at_ms: entry.at_ms, text }
}

fn unreadable(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "console or usage could not be read, and the caller was told so: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not_readable", "what was asked for could not be read")
}

impl From<NotTaken> for Problem {
    fn from(not_taken: NotTaken) -> Self {
        let (code, detail) = match not_taken {
            NotTaken::NotRunning => ("not_running", "the server does not run"),
            NotTaken::NotReading => ("not_reading", "the server does not read its input"),
        };
        Self::new(StatusCode::CONFLICT, code, detail)
    }
}
