//! Pages that customers see: plain HTML with forms.

mod invoice;
mod pay;
mod pdf;
mod portal;

use axum::{
    Router,
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;

use super::Stripe;

pub(super) fn router() -> Router<Stripe> {
    Router::new()
        .route("/pay/{session}", get(pay::show).post(pay::act))
        .route("/invoice/{invoice}", get(invoice::show).post(invoice::act))
        .route("/invoice/{invoice}/pdf", get(invoice::pdf))
        .route("/portal/{session}", get(portal::show).post(portal::act))
        .route("/receipts/{charge}", get(invoice::receipt))
}

/// The button that was pressed, and what was chosen beside it.
#[derive(Debug, Deserialize)]
struct Pressed {
    #[serde(rename = "do")]
    what: String,
    /// What it is about: a subscription or an invoice.
    of: Option<String>,
    card: Option<String>,
}

/// Text as HTML shows it, in attributes too.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// An amount in the smallest unit, as people write it.
pub(super) fn money(amount: i64, currency: &str) -> String {
    const WHOLE: &[&str] = &["jpy", "krw", "vnd", "clp", "isk", "ugx"];
    let currency_shown = currency.to_uppercase();
    if WHOLE.contains(&currency) {
        return format!("{amount} {currency_shown}");
    }
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{sign}{}.{:02} {currency_shown}", amount / 100, amount % 100)
}

fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <style>body{{font:16px/1.5 system-ui;max-width:34rem;margin:2rem auto;padding:0 1rem}}\
         button{{font:inherit;padding:.5rem 1rem;margin:.25rem 0;min-height:2.75rem}}\
         table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.25rem 0;border-bottom:1px solid #8884}}\
         [role=alert]{{border-left:4px solid;padding-left:1rem}}</style></head>\
         <body><main><h1>{title}</h1><p>A page of the sandbox: no money is moved.</p>{body}</main></body></html>"
    ))
}

fn not_found(what: &str) -> Response {
    let body = format!("<p>There is no such {what} here.</p>");
    (StatusCode::NOT_FOUND, page("Not found", &body)).into_response()
}

fn rows(rows: &[(String, i64)], total: i64, currency: &str) -> String {
    let row = |(what, amount): &(String, i64)| {
        format!("<tr><td>{}<td>{}</tr>", escaped(what), escaped(&money(*amount, currency)))
    };
    let rows: String = rows.iter().map(row).collect();
    let total = escaped(&money(total, currency));
    format!(
        "<table><tr><th scope=\"col\">What<th scope=\"col\">Amount</tr>{rows}<tr><th scope=\"row\">Total<td>{total}</tr></table>"
    )
}

fn buttons(all: &[(&str, &str)]) -> String {
    let button = |(what, label): &(&str, &str)| {
        format!("<p><button name=\"do\" value=\"{what}\">{label}</button></p>")
    };
    let buttons: String = all.iter().map(button).collect();
    format!("<form method=\"post\">{buttons}</form>")
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn amounts_are_written_as_people_do() {
        assert_eq!(money(499, "eur"), "4.99 EUR");
        assert_eq!(money(-5, "usd"), "-0.05 USD");
        assert_eq!(money(500, "jpy"), "500 JPY");
    }
}
