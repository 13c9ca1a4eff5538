//! The part of the sandbox's page that shows Stripe's customers, and its buttons.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    Stripe, clocks, disputes,
    failure::Failure,
    methods,
    pages::{escaped, money},
    portal, refunds,
    store::Books,
    time::{self, DAY, HOUR},
    value::{data, int, text},
};

/// Customers and deliveries that are shown, the newest.
const SHOWN: usize = 50;

/// Buttons of a customer: what is sent, and what it says.
const BUTTONS: &[(&str, &str)] = &[
    ("1h", "1 hour later"),
    ("1d", "1 day later"),
    ("8d", "8 days later"),
    ("30d", "30 days later"),
    ("decline", "Make the card decline"),
    ("good", "Make the card good"),
    ("dispute", "Open a dispute"),
    ("refund", "Refund the last payment"),
];

/// The customers, what they have, and what was delivered.
pub(crate) fn show(stripe: &Stripe) -> String {
    let books = stripe.lock();
    let mut page =
        String::from("<h2>Stripe</h2><table><tr><th>Customer<th>Subscriptions and open invoices<th>Do</tr>");
    for customer in books.all("customer").rev().filter(|it| it["deleted"] != true).take(SHOWN) {
        let id = escaped(text(customer, "id"));
        let now = time::shown(books.now_of(customer));
        let _ =
            write!(page, "<tr><td><code>{id}</code><br>{}<br>{now}<td>", escaped(text(customer, "email")));
        page.push_str(&holdings(&books, text(customer, "id")));
        let _ = write!(page, "<td><form method=\"post\" action=\"/stripe/_panel/{id}\">");
        for (what, label) in BUTTONS {
            let _ = write!(page, "<button name=\"do\" value=\"{what}\">{label}</button> ");
        }
        page.push_str("</form>");
    }
    page.push_str(
        "</table><h2>Webhook deliveries, newest first</h2><table><tr><th>Event<th>Endpoint<th>State</tr>",
    );
    for delivery in books.deliveries.iter().rev().take(SHOWN) {
        let kind = books.event(&delivery.event).map(|it| text(it, "type").to_owned()).unwrap_or_default();
        let answer =
            delivery.status.map(|it| it.to_string()).or_else(|| delivery.error.clone()).unwrap_or_default();
        let endpoint = books.find(&delivery.endpoint);
        let url = endpoint.map(|it| text(it, "url").to_owned()).unwrap_or_default();
        let status = endpoint.map(|it| text(it, "status").to_owned()).unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td><code>{}</code> {}<td>{} ({status})<td>{:?} after {} attempts {}",
            escaped(&delivery.event),
            escaped(&kind),
            escaped(&url),
            delivery.state,
            delivery.attempts,
            escaped(&answer)
        );
    }
    page.push_str("</table>");
    page
}

fn holdings(books: &Books, customer: &str) -> String {
    let mut shown = String::new();
    for subscription in books.all("subscription").filter(|it| text(it, "customer") == customer) {
        let prices: Vec<&str> =
            data(subscription, "items").iter().map(|it| text(&it["price"], "id")).collect();
        let end = data(subscription, "items").first().map_or(0, |it| int(it, "current_period_end"));
        let _ = write!(
            shown,
            "<code>{}</code> {} until {} ({})<br>",
            escaped(text(subscription, "id")),
            escaped(text(subscription, "status")),
            time::shown(end),
            escaped(&prices.join(", "))
        );
    }
    let open = |it: &&Value| text(it, "customer") == customer && text(it, "status") == "open";
    for invoice in books.all("invoice").filter(open) {
        let _ = write!(
            shown,
            "<a href=\"{}\">Invoice {}</a> open: {}<br>",
            escaped(text(invoice, "hosted_invoice_url")),
            escaped(text(invoice, "number")),
            escaped(&money(int(invoice, "amount_remaining"), text(invoice, "currency")))
        );
    }
    shown
}

/// Does what a button says.
pub(super) fn act(books: &mut Books, customer: &str, what: &str) -> Result<(), Failure> {
    let of = books.get_for("customer", "customer", customer)?;
    match what {
        "1h" => advance(books, &of, HOUR),
        "1d" => advance(books, &of, DAY),
        "8d" => advance(books, &of, 8 * DAY),
        "30d" => advance(books, &of, 30 * DAY),
        "decline" => {
            let method = methods::card(books, "visa", "0341", "generic_decline", false);
            portal::replace_method(books, customer, method);
            Ok(())
        }
        "good" => {
            let method = methods::card(books, "visa", "4242", "pays", false);
            portal::replace_method(books, customer, method);
            Ok(())
        }
        "dispute" => {
            let charge = last_payment(books, customer)?;
            disputes::open(books, text(&charge, "id")).map(drop)
        }
        "refund" => {
            let charge = last_payment(books, customer)?;
            refunds::refund(books, &charge, None, Some("requested_by_customer")).map(drop)
        }
        _ => Err(Failure::invalid("do", "There is no such button.")),
    }
}

fn advance(books: &mut Books, customer: &Value, by: i64) -> Result<(), Failure> {
    let clock = customer["test_clock"].as_str().ok_or_else(|| {
        let message =
            "This customer goes by the machine's time: it was made with the switch clock_per_customer off.";
        Failure::invalid("customer", message)
    })?;
    let to = books.now_at(Some(clock)) + by;
    clocks::begin(books, clock, to);
    Ok(())
}

fn last_payment(books: &Books, customer: &str) -> Result<Value, Failure> {
    let paid = |it: &&Value| text(it, "customer") == customer && it["paid"] == true;
    let found = books.all("charge").rev().find(paid).cloned();
    found.ok_or_else(|| Failure::invalid("customer", "This customer has paid nothing yet."))
}
