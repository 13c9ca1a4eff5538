//! A test of time: however a clock is advanced, the same comes of it.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    api::Call,
    clocks,
    form::Params,
    routes,
    store::Books,
    switches::AfterRetries,
    time::{self, DAY, HOUR},
    value::{data, int, text},
};

const START: i64 = 1_800_000_000;
const DAYS: i64 = 40;

fn call(books: &mut Books, method: Method, path: &str, form: &str) -> Value {
    let call = Call { method, path: format!("/v1/{path}"), params: Params::parse(form.as_bytes()) };
    routes::dispatch(books, &call).unwrap_or_else(|refused| panic!("{path} {form}: {refused:?}"))
}

fn post(books: &mut Books, path: &str, form: &str) -> Value {
    call(books, Method::POST, path, form)
}

/// Customers of every kind, all by one clock; its id.
fn begin(books: &mut Books) -> String {
    let clock = post(books, "test_helpers/test_clocks", &format!("frozen_time={START}"));
    let clock = text(&clock, "id").to_owned();
    let price = "currency=eur&unit_amount=499&recurring[interval]=month&product_data[name]=small";
    let price = post(books, "prices", price);
    let weekly = "currency=eur&unit_amount=150&recurring[interval]=week&product_data[name]=week";
    let weekly = post(books, "prices", weekly);
    for (price, card, more, then) in [
        (&price, "pm_card_visa", "", ""),
        (&weekly, "pm_card_visa", "", ""),
        (&price, "pm_card_visa", "", "default_payment_method=pm_card_chargeCustomerFail"),
        (&weekly, "pm_card_visa", "", "default_payment_method=pm_card_chargeCustomerFail"),
        (&weekly, "pm_card_visa", "", "default_payment_method=pm_card_authenticationRequired"),
        (&weekly, "pm_sepaDebit", "", ""),
        (&price, "pm_card_visa", "trial_period_days=14", ""),
        (&price, "pm_card_visa", "trial_period_days=14", "default_payment_method=pm_card_chargeCustomerFail"),
        (&price, "pm_card_visa", "", "cancel_at_period_end=true"),
        (
            &weekly,
            "pm_card_visa",
            "",
            "pause_collection[behavior]=void&pause_collection[resumes_at]=1801000000",
        ),
        (&price, "pm_card_chargeCustomerFail", "", ""),
        (&price, "pm_card_visa", "collection_method=send_invoice&days_until_due=7", ""),
    ] {
        let customer = post(books, "customers", &format!("email=a@b.c&test_clock={clock}"));
        let form = format!(
            "customer={}&items[0][price]={}&default_payment_method={card}&{more}",
            text(&customer, "id"),
            text(price, "id")
        );
        let subscription = post(books, "subscriptions", &form);
        if !then.is_empty() {
            post(books, &format!("subscriptions/{}", text(&subscription, "id")), then);
        }
    }
    let session = "mode=subscription&success_url=http://a&line_items[0][price]=";
    post(books, "checkout/sessions", &format!("{session}{}", text(&price, "id")));
    clock
}

/// What has become of everybody, without ids, which are drawn by lot.
fn outcome(books: &Books) -> Vec<Value> {
    let period = |it: &Value| data(it, "items").first().map(|it| it["current_period_end"].clone());
    let subscriptions = books.all("subscription").map(|it| {
        json!([
            it["status"],
            period(it),
            it["ended_at"],
            it["canceled_at"],
            it["pause_collection"],
            it["created"]
        ])
    });
    let invoices = books.all("invoice").map(|it| {
        let owner = books.all("customer").position(|customer| customer["id"] == it["customer"]);
        json!([
            owner,
            it["created"],
            it["status"],
            it["total"],
            it["attempt_count"],
            it["next_payment_attempt"],
            it["status_transitions"],
            it["billing_reason"],
            it["due_date"],
            data(it, "lines").len()
        ])
    });
    let charges = books.all("charge").map(|it| json!([it["created"], it["status"], it["amount"]]));
    let mut all: Vec<Value> = subscriptions.chain(invoices).chain(charges).collect();
    all.sort_by_key(Value::to_string);
    all
}

/// Which events there were, each with how often.
fn told(books: &Books) -> Value {
    let mut counts = json!({});
    for event in books.events.iter().filter(|it| !text(it, "type").starts_with("test_helpers")) {
        let kind = text(event, "type");
        counts[kind] = (int(&counts, kind) + 1).into();
    }
    counts
}

fn run(step: i64, after: AfterRetries) -> (Vec<Value>, Value) {
    let mut books = Books::open(None, "http://sandbox").unwrap();
    books.switches.after_retries = after;
    let clock = begin(&mut books);
    let end = START + DAYS * DAY;
    let mut at = START;
    while at < end {
        at = (at + step).min(end);
        clocks::begin(&mut books, &clock, at);
        clocks::tick(&mut books, time::machine());
        assert_eq!(int(books.find(&clock).unwrap(), "frozen_time"), at);
    }
    (outcome(&books), told(&books))
}

#[test]
fn forty_days_in_hours_or_at_once_come_to_the_same() {
    for (after, steps) in [
        (AfterRetries::Canceled, &[HOUR, 7 * HOUR + 11, 13 * DAY][..]),
        (AfterRetries::Unpaid, &[DAY]),
        (AfterRetries::PastDue, &[DAY]),
    ] {
        let at_once = run(DAYS * DAY, after);
        let (all, told) = &at_once;
        assert!(all.len() > 60, "much happens: {} things", all.len());
        for kind in
            ["invoice.overdue", "customer.subscription.trial_will_end", "invoice.payment_action_required"]
        {
            assert!(int(told, kind) > 0, "{kind} in {told}");
        }
        for step in steps {
            assert_eq!(run(*step, after), at_once, "steps of {step} s, {after:?}");
        }
    }
}
