//! The mailbox: as a page for people, and as JSON for tests.

use std::fmt::Write as _;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{Smtp, mailbox::Mail, switches::Switches};
use crate::stripe::{escaped, time};

/// What a mail's HTML may do here: be looked at.
const INERT: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Mails that the sandbox's own page shows.
const SHOWN: usize = 10;

/// `/smtp`: the mailbox; below it messages and switches.
pub(crate) fn router(smtp: Smtp) -> Router {
    Router::new()
        .route("/", get(list_page))
        .route("/messages", get(list).delete(clear))
        .route("/messages/{id}", get(message_page))
        .route("/messages/{id}/html", get(html))
        .route("/messages/{id}/raw", get(raw))
        .route("/_clear", post(clear_by_button))
        .route("/_switches", get(switches).post(switch))
        .with_state(smtp)
}

/// The part of the sandbox's page.
pub(crate) fn show(smtp: &Smtp) -> String {
    let mut page = String::from("<h2>Mail, newest first (<a href=\"/smtp\">the mailbox</a>)</h2>");
    table(&mut page, &smtp.state().mailbox.all(), SHOWN);
    page
}

fn table(page: &mut String, mails: &[Mail], shown: usize) {
    page.push_str("<table><tr><th>At<th>To<th>Subject</tr>");
    for mail in mails.iter().rev().take(shown) {
        let subject = if mail.subject.is_empty() { "(no subject)" } else { &mail.subject };
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td><a href=\"/smtp/messages/{}\">{}</a>",
            time::shown(mail.received_at),
            escaped(&mail.envelope_to.join(", ")),
            mail.id,
            escaped(subject)
        );
    }
    page.push_str("</table>");
}

fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <style>body{{font:14px/1.5 system-ui;max-width:64rem;margin:2rem auto;padding:0 1rem}}table{{border-collapse:collapse;\
         width:100%}}td,th{{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid #8884;\
         overflow-wrap:anywhere}}pre{{white-space:pre-wrap;overflow-wrap:anywhere}}iframe{{width:100%;height:36rem;border:1px \
         solid #8884}}</style>",
        escaped(title)
    )
}

async fn list_page(State(smtp): State<Smtp>) -> Html<String> {
    let mails = smtp.state().mailbox.all();
    let mut page = head("Mailbox");
    let _ = write!(
        page,
        "<p><a href=\"/\">Sandbox</a></p><h1>Mailbox</h1><p>{} mails. None of them went any further.</p>",
        mails.len()
    );
    table(&mut page, &mails, usize::MAX);
    page.push_str(
        "<form method=\"post\" action=\"/smtp/_clear\"><p><button>Empty the mailbox</button></form>",
    );
    Html(page)
}

async fn message_page(State(smtp): State<Smtp>, Path(id): Path<u64>) -> Response {
    let Some((mail, raw)) = smtp.state().mailbox.find(id) else { return gone() };
    let mut page = head(&mail.subject);
    let _ = write!(
        page,
        "<p><a href=\"/smtp\">Mailbox</a></p><h1>{}</h1><table>",
        escaped(if mail.subject.is_empty() { "(no subject)" } else { &mail.subject })
    );
    for (name, value) in [
        ("From", mail.from.as_str()),
        ("To", &mail.to),
        ("Envelope", &format!("{} to {}", mail.envelope_from, mail.envelope_to.join(", "))),
        ("Received", &time::shown(mail.received_at)),
    ] {
        let _ = write!(page, "<tr><th>{name}<td>{}", escaped(value));
    }
    let _ = write!(
        page,
        "</table><h2>HTML</h2><iframe sandbox title=\"The mail's HTML\" src=\"/smtp/messages/{id}/html\"></iframe>\
         <h2>Text</h2><pre>{}</pre><h2>Headers</h2><table>",
        escaped(&mail.text)
    );
    for (name, value) in &mail.headers {
        let _ = write!(page, "<tr><th>{}<td>{}", escaped(name), escaped(value));
    }
    let raw = String::from_utf8_lossy(&raw);
    let _ = write!(
        page,
        "</table><details><summary>As it came (<a href=\"/smtp/messages/{id}/raw\">alone</a>)</summary><pre>{}</pre></details>",
        escaped(&raw)
    );
    Html(page).into_response()
}

async fn html(State(smtp): State<Smtp>, Path(id): Path<u64>) -> Response {
    let Some((mail, _)) = smtp.state().mailbox.find(id) else { return gone() };
    ([(header::CONTENT_SECURITY_POLICY, INERT)], Html(mail.html)).into_response()
}

const NOSNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

async fn raw(State(smtp): State<Smtp>, Path(id): Path<u64>) -> Response {
    let Some((_, raw)) = smtp.state().mailbox.find(id) else { return gone() };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), NOSNIFF], raw).into_response()
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "there is no such mail\n").into_response()
}

async fn list(State(smtp): State<Smtp>) -> Json<Value> {
    Json(json!(smtp.state().mailbox.all()))
}

async fn clear(State(smtp): State<Smtp>) -> StatusCode {
    smtp.state().mailbox.clear();
    StatusCode::NO_CONTENT
}

async fn clear_by_button(State(smtp): State<Smtp>) -> Redirect {
    smtp.state().mailbox.clear();
    Redirect::to("/smtp")
}

async fn switches(State(smtp): State<Smtp>) -> Json<Switches> {
    Json(smtp.state().switches.clone())
}

/// Changes the switches that the body names.
async fn switch(State(smtp): State<Smtp>, Json(changes): Json<Value>) -> Response {
    let mut state = smtp.state();
    let mut all = json!(state.switches);
    if let (Some(all), Some(changes)) = (all.as_object_mut(), changes.as_object()) {
        all.extend(changes.clone());
    }
    match serde_json::from_value::<Switches>(all) {
        Ok(now) => {
            tracing::info!(%changes, "the mail relay's switches are changed");
            state.switches = now.clone();
            state.greylisted.clear();
            Json(now).into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response(),
    }
}
