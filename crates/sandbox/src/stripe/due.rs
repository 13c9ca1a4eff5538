//! What is due, and in which order: always the earliest first, so that one long step of a clock does what many short ones do.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    checkout,
    invoices::{
        collect::{self, Who},
        make,
    },
    store::{Books, clock_of},
    subscriptions::{cancel, pause, pending, renew, state},
    time::{DAY, HOUR},
    value::{int, text},
};

/// How long a first invoice may stay unpaid.
const INCOMPLETE_FOR: i64 = 23 * HOUR;
/// How long before its end a trial is told of.
const TRIAL_NOTICE: i64 = 3 * DAY;

/// Something that happens at a time. The order is the one in which they happen when they are due at the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    TellOfTrialEnd,
    Cancel,
    EndPause,
    DropPendingUpdate,
    ExpireIncomplete,
    SettleDebit,
    Finalize,
    RetryPayment,
    MarkOverdue,
    Renew,
    ExpireSession,
}

/// Does everything of one clock, or of none, that is due until a time. The clock shows the time of each.
pub(super) fn drive(books: &mut Books, clock: Option<&str>, until: i64) {
    let machine = books.now;
    while let Some((at, what, id)) = next(books, clock, until) {
        match clock {
            // What should have happened before the clock's time happens now.
            Some(clock) => books.set(clock, |it| it["frozen_time"] = at.max(int(it, "frozen_time")).into()),
            None => books.now = at,
        }
        carry_out(books, what, &id);
    }
    books.now = machine;
}

/// The clocks, none of them included, by which something is due until the times that they come to.
pub(super) fn clocks(books: &Books, aims: &HashMap<&str, i64>, machine: i64) -> HashSet<Option<String>> {
    let mut found = HashSet::new();
    for (_, it) in books.numbered() {
        let Some(first) = of(it).iter().map(|(at, _)| *at).min() else { continue };
        let clock = clock_of(it);
        if first <= clock.map_or(machine, |id| aims.get(id).copied().unwrap_or_default()) {
            found.insert(clock.map(str::to_owned));
        }
    }
    found
}

fn next(books: &Books, clock: Option<&str>, until: i64) -> Option<(i64, What, String)> {
    let all = books.numbered();
    let due = all.flat_map(|(number, it)| of(it).into_iter().map(move |(at, what)| (at, what, number, it)));
    let own = due.filter(|(at, _, _, it)| *at <= until && clock_of(it) == clock);
    let first = own.min_by_key(|(at, what, number, _)| (*at, *what, *number))?;
    let (at, what, _, object) = first;
    Some((at, what, text(object, "id").to_owned()))
}

/// What will happen with an object, and when.
fn of(object: &Value) -> Vec<(i64, What)> {
    let when = |key: &str, what| object[key].as_i64().map(|at| (at, what));
    match text(object, "object") {
        "subscription" => of_subscription(object),
        "invoice" => {
            let is = |status: &str| text(object, "status") == status;
            let overdue = when("due_date", What::MarkOverdue).filter(|_| object["_overdue"] != true);
            let finalizes = when("automatically_finalizes_at", What::Finalize).filter(|_| is("draft"));
            let open = [
                when("_settles_at", What::SettleDebit),
                when("next_payment_attempt", What::RetryPayment),
                overdue,
            ];
            open.into_iter().filter(|_| is("open")).chain([finalizes]).flatten().collect()
        }
        "checkout.session" if text(object, "status") == "open" => {
            when("expires_at", What::ExpireSession).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn of_subscription(it: &Value) -> Vec<(i64, What)> {
    let status = text(it, "status");
    let mut due = Vec::new();
    if status == "incomplete" {
        due.push((int(it, "created") + INCOMPLETE_FOR, What::ExpireIncomplete));
    }
    if cancel::is_over(it) || matches!(status, "incomplete" | "paused") {
        return due;
    }
    if let ("trialing", Some(end)) = (status, it["trial_end"].as_i64())
        && it["_told"] != true
    {
        due.push((end - TRIAL_NOTICE, What::TellOfTrialEnd));
    }
    due.extend(it["cancel_at"].as_i64().map(|at| (at, What::Cancel)));
    due.extend(it["pause_collection"]["resumes_at"].as_i64().map(|at| (at, What::EndPause)));
    due.extend(it["pending_update"]["expires_at"].as_i64().map(|at| (at, What::DropPendingUpdate)));
    due.extend(renew::period_end(it).map(|at| (at, What::Renew)));
    due
}

fn carry_out(books: &mut Books, what: What, id: &str) {
    match what {
        What::TellOfTrialEnd => {
            books.set(id, |it| it["_told"] = true.into());
            books.tell("customer.subscription.trial_will_end", id);
        }
        What::Cancel => {
            let reason = books.find(id).map(|it| text(&it["cancellation_details"], "reason").to_owned());
            let reason = reason.filter(|it| !it.is_empty());
            cancel::now(books, id, reason.as_deref().unwrap_or("cancellation_requested"));
        }
        What::EndPause => pause::end(books, id),
        What::DropPendingUpdate => pending::expire(books, id),
        What::ExpireIncomplete => cancel::expire(books, id),
        What::SettleDebit => collect::settle(books, id),
        What::Finalize => {
            make::finalize(books, id);
            let is_collected = |it: &Value| text(it, "collection_method") == "charge_automatically";
            if books.find(id).is_some_and(|it| text(it, "status") == "open" && is_collected(it)) {
                collect::attempt(books, id, None, Who::Schedule);
            }
        }
        What::RetryPayment => {
            // Whatever comes of it, this attempt is made once.
            books.set(id, |it| it["next_payment_attempt"] = Value::Null);
            collect::attempt(books, id, None, Who::Schedule);
        }
        What::MarkOverdue => {
            books.set(id, |it| it["_overdue"] = true.into());
            books.tell("invoice.overdue", id);
            let subscription =
                books.find(id).map(|it| state::subscription_of(it).to_owned()).unwrap_or_default();
            if books.find(&subscription).is_some_and(|it| text(it, "status") == "active") {
                state::set_status(books, &subscription, "past_due");
            }
        }
        What::Renew => renew::renew(books, id),
        What::ExpireSession => checkout::end(books, id),
    }
}
