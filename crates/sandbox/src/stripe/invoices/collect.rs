//! Collecting what an invoice asks for: attempts, what a bank says, and when the next one is made.

use serde_json::{Value, json};

use super::super::{
    methods::{self, Acts},
    payments,
    store::Books,
    subscriptions::state,
    time::DAY,
    value::{int, text},
};

/// Who tries to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Who {
    /// The schedule: nobody is there to confirm, and a failure leads to the next attempt.
    Schedule,
    /// A call of the API: nobody is there to confirm either.
    Caller,
    /// The customer, at a page.
    Customer,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Tried {
    Paid,
    UnderWay,
    Declined(&'static str),
    MustConfirm,
    /// There is nothing to pay with.
    NoMethod,
}

/// What an invoice was closed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum By {
    Payment,
    /// There was nothing to pay.
    Nothing,
    /// Money that Stripe did not see.
    Hand,
}

/// What an attempt by this method would come to.
pub(in super::super) fn foreseen(method: Option<&Value>, who: Who) -> Tried {
    match method.map(methods::acts) {
        None => Tried::NoMethod,
        Some(Acts::Pays) => Tried::Paid,
        Some(Acts::Asks) if who == Who::Customer => Tried::Paid,
        Some(Acts::Asks) => Tried::MustConfirm,
        Some(Acts::TakesDays) => Tried::UnderWay,
        Some(Acts::Declines(code)) => Tried::Declined(code),
    }
}

/// Tries to pay an open invoice, by a method or by the one that is set.
pub(in super::super) fn attempt(books: &mut Books, id: &str, method: Option<&Value>, who: Who) -> Tried {
    let Some(invoice) = books.find(id).filter(|it| text(it, "status") == "open").cloned() else {
        return Tried::NoMethod;
    };
    let intent = text(&invoice, "_intent").to_owned();
    let subscription = books.find(state::subscription_of(&invoice)).cloned();
    let set = methods::paying(books, subscription.as_ref(), text(&invoice, "customer")).cloned();
    let method = method.or(set.as_ref());
    let tried = foreseen(method, who);
    match (tried, method) {
        (Tried::Paid, Some(method)) => {
            payments::succeed(books, &intent, method);
            count(books, id, who);
            close(books, id, By::Payment);
        }
        (Tried::UnderWay, Some(method)) => {
            payments::process(books, &intent, method);
            let settles = books.now_of(&invoice) + books.switches.debit_days * DAY;
            count(books, id, who);
            books.set(id, |it| {
                it["_settles_at"] = settles.into();
                it["next_payment_attempt"] = Value::Null;
            });
            state::under_way(books, id);
        }
        (Tried::MustConfirm, Some(method)) => {
            payments::ask(books, &intent, method);
            refuse(books, id, who);
            books.tell("invoice.payment_action_required", id);
        }
        (Tried::Declined(code), method) => {
            payments::fail(books, &intent, method, code);
            refuse(books, id, who);
        }
        _ => refuse(books, id, who),
    }
    tried
}

/// A direct debit that was under way has come, or comes back.
pub(in super::super) fn settle(books: &mut Books, id: &str) {
    let Some(invoice) = books.find(id).cloned() else { return };
    let intent = text(&invoice, "_intent").to_owned();
    let fails = invoice["_fails"].as_bool().unwrap_or(books.switches.debit_fails);
    books.set(id, |it| {
        it["_settles_at"] = Value::Null;
        it["_fails"] = Value::Null;
    });
    if fails {
        payments::fail(books, &intent, None, "generic_decline");
        refuse(books, id, Who::Schedule);
    } else {
        payments::settle(books, &intent);
        close(books, id, By::Payment);
    }
}

/// Any attempt counts as the first; after it only those of the schedule count.
fn count(books: &mut Books, id: &str, who: Who) {
    books.set(id, |it| {
        it["attempted"] = true.into();
        if who == Who::Schedule || int(it, "attempt_count") == 0 {
            it["attempt_count"] = (int(it, "attempt_count") + 1).into();
        }
    });
}

fn refuse(books: &mut Books, id: &str, who: Who) {
    let Some(before) = books.find(id).cloned() else { return };
    count(books, id, who);
    let is_first = int(&before, "attempt_count") == 0;
    let is_collected = text(&before, "collection_method") == "charge_automatically"
        && before["_pending_update"] != true
        && text(&before, "billing_reason") != "subscription_create";
    let mut is_last = false;
    if (who == Who::Schedule || is_first) && is_collected {
        let attempts = books.find(id).map_or(1, |it| int(it, "attempt_count")).max(1);
        let place = usize::try_from(attempts - 1).unwrap_or_default();
        let next = books.switches.retry_days.get(place).map(|days| books.now_of(&before) + days * DAY);
        is_last = next.is_none();
        books.set(id, |it| {
            it["next_payment_attempt"] = next.into();
            it["auto_advance"] = next.is_some().into();
        });
    }
    let after = books.find(id).cloned().unwrap_or_default();
    if let Some(previous) = super::super::value::changed(&before, &after) {
        books.emit("invoice.updated", &after, Some(previous));
    }
    books.tell("invoice.payment_failed", id);
    state::unpaid(books, id, is_last);
}

/// An invoice is paid.
pub(in super::super) fn close(books: &mut Books, id: &str, by: By) {
    let Some(invoice) = books.find(id).cloned() else { return };
    let now = books.now_of(&invoice);
    let intent = text(&invoice, "_intent").to_owned();
    books.update("invoice.updated", id, |it| {
        it["status"] = "paid".into();
        it["attempted"] = true.into();
        it["amount_paid"] = it["amount_due"].clone();
        it["amount_remaining"] = 0.into();
        it["auto_advance"] = false.into();
        it["next_payment_attempt"] = Value::Null;
        it["status_transitions"]["paid_at"] = now.into();
        it["_settles_at"] = Value::Null;
        if by == By::Hand {
            it["amount_paid_off_stripe"] = it["amount_due"].clone();
            it["_out_of_band"] = true.into();
        }
    });
    books.tell("invoice.paid", id);
    match by {
        By::Payment => payments::pay_invoice(books, &intent),
        By::Hand => payments::cancel(books, &intent),
        By::Nothing => {}
    }
    books.tell("invoice.payment_succeeded", id);
    state::paid(books, id);
}

/// An invoice ends without being paid: `void` or `uncollectible`.
pub(in super::super) fn give_up(books: &mut Books, id: &str, status: &str) {
    let Some(invoice) = books.find(id).cloned() else { return };
    let now = books.now_of(&invoice);
    let intent = text(&invoice, "_intent").to_owned();
    let (event, when) = match status {
        "void" => ("invoice.voided", "voided_at"),
        _ => ("invoice.marked_uncollectible", "marked_uncollectible_at"),
    };
    books.update("invoice.updated", id, |it| {
        it["status"] = status.into();
        it["auto_advance"] = false.into();
        it["next_payment_attempt"] = Value::Null;
        it["automatically_finalizes_at"] = Value::Null;
        it["_settles_at"] = Value::Null;
        it["status_transitions"][when] = now.into();
        if status == "void" {
            it["amount_remaining"] = json!(0);
        }
    });
    if status == "void" {
        payments::cancel(books, &intent);
    }
    books.tell(event, id);
    state::given_up(books, id, status);
}
