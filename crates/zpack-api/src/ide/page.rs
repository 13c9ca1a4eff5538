//! What a browser shows when there is no workspace to show, and what a script gets instead.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::json;

use super::guard::is_navigation;

/// An answer of our own below the workspaces' domain.
#[derive(Clone, Debug)]
pub struct Page {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    text: &'static str,
    /// Where a button leads, and what it says.
    link: Option<(String, &'static str)>,
    /// Seconds after which the browser looks again.
    again: Option<u32>,
}

/// Who reads an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A person who has opened a page.
    Person,
    /// A script in one.
    Script,
}

impl Reader {
    /// Of this request's answer.
    pub fn of(request: &Request) -> Self {
        if is_navigation(request.method(), request.headers()) { Self::Person } else { Self::Script }
    }
}

impl Page {
    fn new(status: StatusCode, code: &'static str, title: &'static str, text: &'static str) -> Self {
        Self { status, code, title, text, link: None, again: None }
    }

    /// Nobody's, somebody else's, or gone: nobody may see which.
    pub fn not_found() -> Self {
        let text = "There is no workspace at this address, or it is not yours.";
        Self::new(StatusCode::NOT_FOUND, "not_found", "No such workspace", text)
    }

    /// Without a cookie.
    pub fn signed_out() -> Self {
        let text = "Open the workspace from the Portal again. Nothing in it was lost.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in", text)
    }

    /// A ticket that is worth nothing.
    pub fn ticket_spent() -> Self {
        let text = "This link opens the workspace once, and soon after it was made. Open the workspace from the Portal again.";
        Self::new(StatusCode::FORBIDDEN, "ticket_spent", "This link was used or has expired", text)
    }

    /// Another site's doing.
    pub fn foreign() -> Self {
        let text = "The browser says that another site made this request. Nothing was done.";
        Self::new(
            StatusCode::FORBIDDEN,
            "csrf_rejected",
            "The request does not come from this workspace",
            text,
        )
    }

    /// Not running, and not meant to.
    pub fn stopped() -> Self {
        let text = "Your files are as you left them. Start the workspace in the Portal.";
        Self::new(StatusCode::CONFLICT, "workspace_stopped", "The workspace is stopped", text)
    }

    /// On its way.
    pub fn starting() -> Self {
        let text = "It is not ready yet. This page looks again by itself.";
        let page = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "workspace_starting",
            "The workspace is starting",
            text,
        );
        Self { again: Some(2), ..page }
    }

    /// May not run.
    pub fn on_hold() -> Self {
        let text = "Your files are kept. The Portal says what can be done.";
        Self::new(StatusCode::LOCKED, "instance_on_hold", "The workspace is on hold", text)
    }

    /// Its machine is away.
    pub fn away() -> Self {
        let text = "Your files are on it and were not touched. This page looks again by itself.";
        let page = Self::new(
            StatusCode::BAD_GATEWAY,
            "agent_unreachable",
            "The workspace's machine does not answer",
            text,
        );
        Self { again: Some(5), ..page }
    }

    /// It took a request and answered nothing that makes sense, or nothing at all.
    pub fn broken_off() -> Self {
        let text = "Whether it was done is not known: look before you try again.";
        Self::new(StatusCode::BAD_GATEWAY, "workspace_broke_off", "The workspace did not answer", text)
    }

    /// Ours.
    pub fn overloaded() -> Self {
        let text = "There is too much to do at present. Nothing was done; try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too much to do at present", text)
    }

    /// Ours, too.
    pub fn unavailable() -> Self {
        let text = "The database does not answer. Nothing was lost; this page looks again by itself.";
        let page = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "database_unavailable",
            "Not available at present",
            text,
        );
        Self { again: Some(5), ..page }
    }

    /// With a button that leads to the Portal.
    #[must_use]
    pub fn with_portal(self, url: String, says: &'static str) -> Self {
        Self { link: Some((url, says)), ..self }
    }

    /// As the reader can use it.
    pub fn into_response_for(self, reader: Reader) -> Response {
        let mut headers = HeaderMap::new();
        let mut set =
            |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        set(header::CACHE_CONTROL, "no-store");
        set(header::REFERRER_POLICY, "no-referrer");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        );
        if let Some(seconds) = self.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if reader == Reader::Person {
            return (self.status, headers, Html(self.html())).into_response();
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let body = json!({
            "type": format!("/problems/{}", self.code), "title": self.title, "status": self.status.as_u16(),
            "code": self.code, "detail": self.text,
        });
        (self.status, headers, body.to_string()).into_response()
    }

    /// All of it is ours: constants, and an address made of the configuration and a host name.
    fn html(&self) -> String {
        let again = self.again.map(|seconds| format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">"));
        let link = self.link.as_ref().map(|(url, says)| format!("<p><a href=\"{url}\">{says}</a></p>"));
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">{again}<title>{title}</title>\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;\
             color:#1d2530;background:#f6f7f9}}h1{{font-size:1.4rem}}a{{display:inline-block;padding:.5rem 1rem;\
             border-radius:.3rem;background:#1f5fbf;color:#fff;text-decoration:none}}</style>\
             <main><h1>{title}</h1><p>{text}</p>{link}</main></html>",
            again = again.unwrap_or_default(),
            link = link.unwrap_or_default(),
            title = self.title,
            text = self.text,
        )
    }
}
