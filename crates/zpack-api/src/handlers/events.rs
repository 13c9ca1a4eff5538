//! `GET /api/events`.

use axum::{extract::State, response::IntoResponse};

use crate::{
    auth::{May, ReadInstances},
    events::{Hub, TooManyStreams, sse},
    problem::{Code, Problem},
};

/// What happens to the caller's instances, as Server-Sent Events.
///
/// `resync` (also the first event): read everything again. `instance` and `operation`: the whole object as it is now.
/// `instance_deleted`: `{"id"}`. A comment every 15 s keeps the connection open. The stream ends when the session or
/// the API key does.
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "streamEvents",
    responses((status = 200, content_type = "text/event-stream", body = String)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn events(
    State(events): State<Hub>,
    caller: May<ReadInstances>,
) -> Result<impl IntoResponse, Problem> {
    let subscription = events.subscribe(caller.customer.id, (&caller.credential).into()).map_err(
        |TooManyStreams(limit)| {
            let detail = format!("An account may have {limit} streams open. Close another tab or client.");
            Problem::new(Code::TooManyStreams, detail).retry_after(10)
        },
    )?;
    Ok(sse(subscription))
}
