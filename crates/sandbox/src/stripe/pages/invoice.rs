//! The hosted page of an invoice, its PDF, and receipts.

use axum::{
    extract::{Form, Path, State},
    http::header,
    response::{IntoResponse as _, Redirect, Response},
};
use serde_json::Value;

use super::{
    super::{
        Stripe,
        invoices::{
            collect::{self, Who},
            make,
        },
        methods, time,
        value::{int, text},
    },
    Pressed, buttons, escaped, money, not_found, page, pdf, rows,
};

fn find(stripe: &Stripe, id: &str) -> Option<Value> {
    let is_final = |it: &&Value| text(it, "object") == "invoice" && text(it, "status") != "draft";
    stripe.lock().find(id).filter(is_final).cloned()
}

pub(super) async fn show(State(stripe): State<Stripe>, Path(id): Path<String>) -> Response {
    match find(&stripe, &id) {
        Some(invoice) => form(&invoice, ""),
        None => not_found("invoice"),
    }
}

fn form(invoice: &Value, notice: &str) -> Response {
    let table = rows(&make::rows(invoice), int(invoice, "total"), text(invoice, "currency"));
    let (status, number) = (text(invoice, "status"), escaped(text(invoice, "number")));
    let due = escaped(&money(int(invoice, "amount_remaining"), text(invoice, "currency")));
    let to_do = match status {
        "open" if invoice["_settles_at"].is_i64() => "<p>The payment is under way.</p>".to_owned(),
        "open" | "uncollectible" => buttons(&[("pay", "Pay"), ("decline", "Decline")]),
        _ => String::new(),
    };
    let link = escaped(text(invoice, "invoice_pdf"));
    let body = format!(
        "{notice}<p>Number {number}, {status}, to pay: {due}</p>{table}{to_do}<p><a href=\"{link}\">Download as PDF</a></p>"
    );
    page("Invoice", &body).into_response()
}

pub(super) async fn act(
    State(stripe): State<Stripe>,
    Path(id): Path<String>,
    Form(pressed): Form<Pressed>,
) -> Response {
    let Some(invoice) = find(&stripe, &id) else { return not_found("invoice") };
    let can_be_paid =
        matches!(text(&invoice, "status"), "open" | "uncollectible") && !invoice["_settles_at"].is_i64();
    if !can_be_paid {
        return form(&invoice, "");
    }
    let tried = {
        let mut books = stripe.lock();
        let is_good = pressed.what == "pay";
        let (last4, acts) = if is_good { ("4242", "pays") } else { ("0341", "generic_decline") };
        let card = methods::card(&books, "visa", last4, acts, false);
        books.set(&id, |it| it["status"] = "open".into());
        collect::attempt(&mut books, &id, Some(&card), Who::Customer)
    };
    stripe.wake();
    if tried == collect::Tried::Paid {
        return Redirect::to(text(&invoice, "hosted_invoice_url")).into_response();
    }
    let (_, sentence) = methods::sentence("generic_decline");
    form(&invoice, &format!("<p role=\"alert\">{sentence} Nothing was paid; you can try again.</p>"))
}

pub(super) async fn pdf(State(stripe): State<Stripe>, Path(id): Path<String>) -> Response {
    let Some(invoice) = find(&stripe, &id) else { return not_found("invoice") };
    let currency = text(&invoice, "currency");
    let mut lines = vec![
        format!("Invoice {}", text(&invoice, "number")),
        format!("Date {}", time::shown(int(&invoice["status_transitions"], "finalized_at"))),
        format!("Customer {}", text(&invoice, "customer_email")),
        String::new(),
    ];
    lines.extend(
        make::rows(&invoice).iter().map(|(what, amount)| format!("{what}: {}", money(*amount, currency))),
    );
    lines.push(format!("Total: {}", money(int(&invoice, "total"), currency)));
    lines.push(format!("Paid: {}", money(int(&invoice, "amount_paid"), currency)));
    lines.push("Made by a sandbox: no money was moved.".to_owned());
    let name = format!("attachment; filename=\"Invoice-{}.pdf\"", text(&invoice, "number"));
    (
        [(header::CONTENT_TYPE, "application/pdf".to_owned()), (header::CONTENT_DISPOSITION, name)],
        pdf::of(&lines),
    )
        .into_response()
}

pub(super) async fn receipt(State(stripe): State<Stripe>, Path(id): Path<String>) -> Response {
    let Some(charge) = stripe.lock().find(&id).filter(|it| text(it, "object") == "charge").cloned() else {
        return not_found("payment");
    };
    let amount = escaped(&money(int(&charge, "amount"), text(&charge, "currency")));
    let body =
        format!("<p>{amount} on {}: {}</p>", time::shown(int(&charge, "created")), text(&charge, "status"));
    page("Receipt", &body).into_response()
}
