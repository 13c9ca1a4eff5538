//! The page of a billing portal session.

use std::fmt::Write as _;

use axum::{
    extract::{Form, Path, State},
    response::{IntoResponse as _, Redirect, Response},
};
use serde_json::Value;

use super::{
    super::{
        Stripe,
        invoices::collect::{self, Tried, Who},
        methods, portal,
        store::Books,
        subscriptions::cancel,
        time,
        value::{data, int, text},
    },
    Pressed, escaped, money, not_found, page,
};

/// Cards that a customer can change to: what is sent, and what it says.
const CARDS: &[(&str, &str)] = &[
    ("good", "A card that pays"),
    ("declines", "A card that declines"),
    ("asks", "A card that needs confirmation"),
    ("debit", "A bank account"),
];

fn find(books: &Books, id: &str) -> Option<Value> {
    books.find(id).filter(|it| text(it, "object") == "billing_portal.session").cloned()
}

pub(super) async fn show(State(stripe): State<Stripe>, Path(id): Path<String>) -> Response {
    let books = stripe.lock();
    match find(&books, &id) {
        Some(session) => whole(&books, &session, ""),
        None => not_found("session"),
    }
}

fn whole(books: &Books, session: &Value, notice: &str) -> Response {
    let customer = text(session, "customer");
    let mut body = format!("{notice}<h2>Subscriptions</h2>");
    let own = |it: &&Value| text(it, "customer") == customer;
    for subscription in books.all("subscription").filter(own).filter(|it| !cancel::is_over(it)) {
        body.push_str(&subscription_shown(books, subscription));
    }
    body.push_str("<h2>Payment method</h2>");
    if let Some(method) = methods::paying(books, None, customer) {
        let details = &method[text(method, "type")];
        let _ = write!(body, "<p>Ends in {}</p>", escaped(text(details, "last4")));
    }
    body.push_str(
        "<form method=\"post\"><label for=\"card\">Change to</label> <select id=\"card\" name=\"card\">",
    );
    for (what, label) in CARDS {
        let _ = write!(body, "<option value=\"{what}\">{label}</option>");
    }
    body.push_str("</select> <button name=\"do\" value=\"card\">Change</button></form><h2>Invoices</h2>");
    for invoice in books.all("invoice").rev().filter(own).filter(|it| text(it, "status") != "draft") {
        body.push_str(&invoice_shown(invoice));
    }
    if let Some(back) = session["return_url"].as_str() {
        let _ = write!(body, "<p><a href=\"{}\">Back</a></p>", escaped(back));
    }
    page("Billing", &body).into_response()
}

fn subscription_shown(books: &Books, subscription: &Value) -> String {
    let names = data(subscription, "items").iter().map(|it| {
        books.find(text(&it["price"], "product")).map(|it| text(it, "name").to_owned()).unwrap_or_default()
    });
    let names: Vec<String> = names.collect();
    let end = data(subscription, "items").first().map_or(0, |it| int(it, "current_period_end"));
    let ends = subscription["cancel_at_period_end"] == true;
    let (what, label) =
        if ends { ("renew", "Do not cancel") } else { ("cancel", "Cancel at the end of the period") };
    format!(
        "<p>{}: {}, {} {}</p><form method=\"post\"><input type=\"hidden\" name=\"of\" value=\"{}\">\
         <button name=\"do\" value=\"{what}\">{label}</button></form>",
        escaped(&names.join(", ")),
        escaped(text(subscription, "status")),
        if ends { "ends" } else { "goes on" },
        time::shown(end),
        escaped(text(subscription, "id")),
    )
}

fn invoice_shown(invoice: &Value) -> String {
    let mut shown = format!(
        "<p><a href=\"{}\">{}</a>: {}, {}</p>",
        escaped(text(invoice, "hosted_invoice_url")),
        escaped(text(invoice, "number")),
        escaped(&money(int(invoice, "total"), text(invoice, "currency"))),
        escaped(text(invoice, "status"))
    );
    if text(invoice, "status") == "open" && !invoice["_settles_at"].is_i64() {
        let _ = write!(
            shown,
            "<form method=\"post\"><input type=\"hidden\" name=\"of\" value=\"{}\">\
             <button name=\"do\" value=\"pay\">Pay {}</button></form>",
            escaped(text(invoice, "id")),
            escaped(text(invoice, "number"))
        );
    }
    shown
}

pub(super) async fn act(
    State(stripe): State<Stripe>,
    Path(id): Path<String>,
    Form(pressed): Form<Pressed>,
) -> Response {
    let session = find(&stripe.lock(), &id);
    let Some(session) = session else { return not_found("session") };
    let done = press(&mut stripe.lock(), text(&session, "customer"), &pressed);
    stripe.wake();
    match done {
        Ok(()) => Redirect::to(text(&session, "url")).into_response(),
        Err(notice) => {
            let notice = format!("<p role=\"alert\">{}</p>", escaped(&notice));
            whole(&stripe.lock(), &session, &notice)
        }
    }
}

fn press(books: &mut Books, customer: &str, pressed: &Pressed) -> Result<(), String> {
    let of = pressed.of.as_deref().unwrap_or_default();
    let is_own = books.find(of).is_some_and(|it| text(it, "customer") == customer);
    match pressed.what.as_str() {
        "card" => {
            let method = match pressed.card.as_deref() {
                Some("debit") => methods::sepa(books),
                Some("declines") => methods::card(books, "visa", "0341", "generic_decline", false),
                Some("asks") => methods::card(books, "visa", "3184", "asks", false),
                _ => methods::card(books, "visa", "4242", "pays", false),
            };
            portal::replace_method(books, customer, method);
            Ok(())
        }
        "cancel" | "renew" if is_own => {
            cancel::at_period_end(books, of, pressed.what == "cancel");
            Ok(())
        }
        "pay" if is_own => match collect::attempt(books, of, None, Who::Customer) {
            Tried::Paid | Tried::UnderWay => Ok(()),
            Tried::NoMethod => Err("There is no payment method. Add one, and pay again.".to_owned()),
            _ => Err("The payment was declined. Nothing was paid; change the payment method, or try again."
                .to_owned()),
        },
        _ => Err("That is not possible here.".to_owned()),
    }
}
