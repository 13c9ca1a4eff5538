//! Test clocks. One that a caller makes stands still until it is advanced; one that the sandbox gave a customer also goes on
//! with the machine's time.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    api::Call,
    due,
    failure::{Failure, Outcome},
    ids, list,
    store::{Books, clock_of},
    subscriptions::cancel,
    time::DAY,
    value::{int, shown, text},
};

const KIND: &str = "test_helpers.test_clock";

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    call.params.only(&["frozen_time", "name"])?;
    let at = call.params.int("frozen_time")?.ok_or_else(|| Failure::required("frozen_time"))?;
    let clock = blank(books, at, call.params.text("name"));
    let id = books.insert_with("test_helpers.test_clock.created", clock);
    books.get(KIND, &id)
}

fn blank(books: &Books, at: i64, name: Option<&str>) -> Value {
    json!({
        "id": ids::new("clock"), "object": KIND, "created": books.now, "deletes_after": books.now + 30 * DAY,
        "frozen_time": at, "livemode": false, "name": name, "status": "ready", "status_details": {},
    })
}

/// A clock for one new customer, if that is switched on.
pub(super) fn own(books: &mut Books) -> Option<String> {
    books.switches.clock_per_customer.then(|| {
        let mut clock = blank(books, books.now, Some("A customer's own"));
        clock["_ahead"] = 0.into();
        books.insert(clock)
    })
}

/// Whether what belongs to a customer is in a list. What has a caller's test clock is only if it is asked for.
pub(super) fn is_listed(books: &Books, of: &Value, wanted: Option<&str>) -> bool {
    let clock = clock_of(of);
    match wanted {
        Some(_) => clock == wanted,
        None => clock.and_then(|id| books.find(id)).is_none_or(|it| it["_ahead"].is_i64()),
    }
}

/// Begins to advance a clock; it is driven there after the answer.
pub(super) fn advance(books: &mut Books, call: &Call, id: &str) -> Outcome {
    call.params.only(&["frozen_time"])?;
    let to = call.params.int("frozen_time")?.ok_or_else(|| Failure::required("frozen_time"))?;
    let clock = books.get(KIND, id)?;
    if to <= int(&clock, "frozen_time") {
        return Err(Failure::invalid(
            "frozen_time",
            "Test clocks can only be advanced to a time in the future.",
        ));
    }
    if text(&clock, "status") != "ready" {
        let message = "Test clock is currently advancing.";
        return Err(Failure::invalid("test_clock", message));
    }
    begin(books, id, to);
    books.get(KIND, id)
}

/// Has a clock advance to a time.
pub(super) fn begin(books: &mut Books, id: &str, to: i64) {
    books.set(id, |it| {
        it["status"] = "advancing".into();
        it["status_details"] = json!({ "advancing": { "target_frozen_time": to } });
    });
    books.tell("test_helpers.test_clock.advancing", id);
}

/// Drives everything that is due: what clocks advance to, and what the machine's time has come to. The events of each thing are
/// told in the order of time.
pub(super) fn tick(books: &mut Books, machine: i64) {
    books.now = machine;
    let clocks: Vec<Value> = books.all(KIND).cloned().collect();
    let aims: HashMap<&str, i64> = clocks.iter().map(|it| (text(it, "id"), aim(it, machine))).collect();
    let due = due::clocks(books, &aims, machine);
    for clock in &clocks {
        let (id, to) = (text(clock, "id"), aim(clock, machine));
        if due.contains(&Some(id.to_owned())) {
            due::drive(books, Some(id), to);
        }
        let was_dirty = books.is_dirty;
        books.set(id, |it| it["frozen_time"] = to.into());
        if target(clock).is_some() {
            arrive(books, id, to - machine);
        } else {
            // That time goes on is nothing to be kept.
            books.is_dirty = was_dirty;
        }
    }
    if due.contains(&None) {
        due::drive(books, None, machine);
    }
}

fn target(clock: &Value) -> Option<i64> {
    clock["status_details"]["advancing"]["target_frozen_time"].as_i64()
}

/// The time that a clock comes to now.
fn aim(clock: &Value, machine: i64) -> i64 {
    let goes_on = clock["_ahead"].as_i64().map(|ahead| machine + ahead);
    target(clock).or(goes_on).unwrap_or_default().max(int(clock, "frozen_time"))
}

fn arrive(books: &mut Books, id: &str, ahead: i64) {
    books.set(id, |it| {
        it["status"] = "ready".into();
        it["status_details"] = json!({});
        if it["_ahead"].is_i64() {
            it["_ahead"] = ahead.into();
        }
    });
    books.tell("test_helpers.test_clock.ready", id);
}

/// The clock is gone, and its customers with all that is theirs.
pub(super) fn delete(books: &mut Books, id: &str) -> Outcome {
    books.get(KIND, id)?;
    let customers: Vec<String> = books
        .all("customer")
        .filter(|it| text(it, "test_clock") == id && it["deleted"].as_bool() != Some(true))
        .map(|it| text(it, "id").to_owned())
        .collect();
    for customer in customers {
        cancel::all_of(books, &customer);
        books.tell("customer.deleted", &customer);
        books.set(&customer, |it| *it = json!({ "id": customer, "object": "customer", "deleted": true }));
    }
    books.tell("test_helpers.test_clock.deleted", id);
    let left: Vec<String> = books
        .numbered()
        .filter(|(_, it)| clock_of(it) == Some(id))
        .map(|(_, it)| text(it, "id").to_owned())
        .collect();
    for object in left {
        books.remove(&object);
    }
    books.remove(id);
    Ok(json!({ "id": id, "object": KIND, "deleted": true }))
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&[]))?;
    let page = list::page(call, books.all(KIND).rev().filter(|it| !it["_ahead"].is_i64()))?;
    Ok(shown(&page))
}
