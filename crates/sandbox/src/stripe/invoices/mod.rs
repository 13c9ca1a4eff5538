//! Invoices: what the API does with one.

pub(super) mod collect;
pub(super) mod make;

use serde_json::Value;

use self::collect::{By, Tried, Who};
use super::{
    api::Call,
    failure::{Failure, Outcome},
    list, methods,
    store::Books,
    subscriptions::state,
    value::{array, text},
};

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&["customer", "subscription", "status", "collection_method"]))?;
    let of = |name| call.params.text(name);
    let status = call.params.one_of("status", &["draft", "open", "paid", "uncollectible", "void"])?;
    let is_wanted = |it: &&Value| {
        of("customer").is_none_or(|id| text(it, "customer") == id)
            && of("subscription").is_none_or(|id| state::subscription_of(it) == id)
            && of("collection_method").is_none_or(|it_is| text(it, "collection_method") == it_is)
            && status.is_none_or(|status| text(it, "status") == status)
    };
    list::page(call, books.all("invoice").rev().filter(is_wanted))
}

pub(super) fn lines(books: &Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&list::with(&[]))?;
    let invoice = books.get("invoice", id)?;
    list::page(call, array(&invoice["lines"], "data").iter())
}

/// Refused unless the invoice is in one of these states.
fn in_state(books: &Books, id: &str, allowed: &[&str], doing: &str) -> Outcome {
    let invoice = books.get("invoice", id)?;
    let status = text(&invoice, "status");
    if allowed.contains(&status) {
        return Ok(invoice);
    }
    let message = match status {
        "paid" if doing == "pay" => "Invoice is already paid".to_owned(),
        _ => {
            format!("You can only {doing} an invoice that is {}. This one is {status}.", allowed.join(" or "))
        }
    };
    Err(Failure::refused("invoice_not_editable", &message))
}

pub(super) fn finalize(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&["auto_advance"])?;
    let advances = call.params.flag("auto_advance")?;
    in_state(books, id, &["draft"], "finalize")?;
    if let Some(advances) = advances {
        books.set(id, |it| it["auto_advance"] = advances.into());
    }
    make::finalize(books, id);
    books.get("invoice", id)
}

pub(super) fn void(books: &mut Books, id: &str) -> Outcome {
    in_state(books, id, &["open", "uncollectible"], "void")?;
    collect::give_up(books, id, "void");
    books.get("invoice", id)
}

pub(super) fn mark_uncollectible(books: &mut Books, id: &str) -> Outcome {
    in_state(books, id, &["open"], "mark as uncollectible")?;
    collect::give_up(books, id, "uncollectible");
    books.get("invoice", id)
}

pub(super) fn pay(books: &mut Books, call: &Call, id: &str) -> Outcome {
    let params = &call.params;
    params.only(&["paid_out_of_band", "payment_method", "off_session", "forgive"])?;
    let by_hand = params.flag("paid_out_of_band")? == Some(true);
    let is_here = params.flag("off_session")? == Some(false);
    let invoice = in_state(books, id, &["draft", "open", "uncollectible"], "pay")?;
    let method = match params.text("payment_method") {
        Some(method) => {
            let id = methods::of_customer(books, method, text(&invoice, "customer"))?;
            books.find(&id).cloned()
        }
        None => None,
    };
    make::finalize(books, id);
    if books.find(id).is_some_and(|it| text(it, "status") == "paid") {
        return books.get("invoice", id);
    }
    if invoice["_settles_at"].is_i64() {
        let message = "This invoice's payment is processing; it cannot be paid again meanwhile.";
        return Err(Failure::refused("payment_intent_unexpected_state", message));
    }
    books.set(id, |it| it["status"] = "open".into());
    if by_hand {
        collect::close(books, id, By::Hand);
        return books.get("invoice", id);
    }
    let who = if is_here { Who::Customer } else { Who::Caller };
    refusal_of(collect::attempt(books, id, method.as_ref(), who))?;
    books.get("invoice", id)
}

/// What a caller is told of an attempt.
pub(super) fn refusal_of(tried: Tried) -> Result<(), Failure> {
    match tried {
        Tried::Paid | Tried::UnderWay => Ok(()),
        Tried::Declined(code) => Err(methods::declined(code)),
        Tried::MustConfirm => Err(Failure::card(
            "invoice_payment_intent_requires_action",
            None,
            "This payment requires additional user action before it can be completed successfully.",
        )),
        Tried::NoMethod => Err(Failure::refused(
            "resource_missing",
            "This customer has no attached payment source or default payment method. Please consider adding a default \
             payment method.",
        )),
    }
}
