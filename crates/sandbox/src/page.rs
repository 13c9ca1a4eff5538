//! One page that shows what the services hold and what they were asked, newest first.

use std::fmt::Write as _;

use axum::{extract::State, response::Html};

use crate::{calls::Calls, http::Services, smtp, stripe};

/// Calls that are shown.
const SHOWN: usize = 200;

/// `GET /`
pub(crate) async fn show(State((held, calls)): State<(Services, Calls)>) -> Html<String> {
    let mut page = String::from(
        "<!doctype html><meta charset=\"utf-8\"><title>ZLH sandbox</title><meta name=\"color-scheme\" content=\"light dark\">\
         <style>body{font:14px/1.5 system-ui;max-width:64rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;\
         width:100%}td,th{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #8884}code{font-size:13px;white-space:pre-wrap}</style>\
         <h1>Sandbox</h1><p>Stands in for the outside services. Nothing here leaves this machine.</p><h2>DNS records</h2>\
         <table><tr><th>Type<th>Name<th>Content<th>Comment</tr>",
    );
    for record in held.zone.all() {
        row(
            &mut page,
            [&record.kind, &record.name, &record.content, record.comment.as_deref().unwrap_or_default()],
        );
    }
    page.push_str(
        "</table><h2>Internal DNS records</h2><table><tr><th>Type<th>Name<th>Content<th>Comment</tr>",
    );
    for record in held.dns_server.all() {
        row(&mut page, [&record.kind, &record.name, &record.value(), &record.comments]);
    }
    page.push_str("</table><h2>Servers of the proxy</h2><table><tr><th>Name<th>Address</tr>");
    for server in held.proxy.all() {
        row(&mut page, [&server.name, &format!("{} port {}", server.address, server.port)]);
    }
    page.push_str("</table><h2>Discord, newest first</h2><table><tr><th>Edits<th>Message</tr>");
    for message in held.discord.all().iter().rev().take(SHOWN) {
        row(&mut page, [&message.edits.to_string(), &message.content]);
    }
    page.push_str("</table>");
    page.push_str(&smtp::show(&held.smtp));
    page.push_str(&stripe::show(&held.stripe));
    page.push_str("<h2>Calls, newest first</h2><table><tr><th>Status<th>Call</tr>");
    for call in calls.all().iter().rev().take(SHOWN) {
        row(&mut page, [&call.status.to_string(), &format!("{} {}", call.method, call.path)]);
    }
    page.push_str("</table>");
    Html(page)
}

fn row<const N: usize>(page: &mut String, cells: [&str; N]) {
    page.push_str("<tr>");
    for cell in cells {
        let text = cell.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(page, "<td><code>{text}</code>");
    }
    page.push_str("</tr>");
}
