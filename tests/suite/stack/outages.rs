//! Redis and PostgreSQL go away: nothing is lost, nothing is half-written, nobody has to do anything.

use std::{collections::HashSet, thread};

use serde_json::json;
use xtask::stack::DATABASE;
use zlh_tests::{BLUEPRINT, Town, eventually, smallest};

#[test]
fn creates_are_taken_while_redis_is_away_and_run_once_it_is_back() {
    let mut town = Town::start(&[smallest()]);
    let customer = town.customer("flo");
    town.stack.stop_redis().expect("Redis stops");
    let (id, operation) = customer.create("Patient", BLUEPRINT, "only");
    assert_eq!(customer.get(&operation).body["state"], "queued");
    town.stack.start_redis().expect("Redis starts");
    assert_eq!(customer.follow(&operation)["state"], "succeeded");
    customer.remove(&id);
    town.expect_nothing_left();
}

#[test]
fn flushing_redis_under_load_loses_no_operation() {
    let town = Town::start(&[smallest()]);
    let customer = town.customer("gil");
    let mut asked = Vec::new();
    for n in 0..8 {
        asked.push(customer.create(&format!("Server {n}"), BLUEPRINT, "only"));
        town.flush_redis();
    }
    for _ in 0..5 {
        town.flush_redis();
        thread::sleep(std::time::Duration::from_millis(300));
    }
    for (_, operation) in &asked {
        assert_eq!(customer.follow(operation)["state"], "succeeded");
    }
    assert_eq!(town.holdings()[0], 8);
    for (id, _) in &asked {
        customer.remove(id);
    }
    town.expect_nothing_left();
}

#[test]
fn while_postgres_is_away_the_answer_is_503_and_everything_recovers_by_itself() {
    let mut town = Town::start(&[smallest()]);
    let customer = town.customer("hal");
    let (first, operation) = customer.create("Before", BLUEPRINT, "only");
    customer.follow(&operation);
    town.stack.stop_postgres().expect("PostgreSQL stops");
    let body = json!({ "name": "During", "blueprint": BLUEPRINT, "variant": "only", "plan": "small" });
    let away = customer.post("/api/instances", Some("during"), &body);
    assert_eq!(
        (away.status, away.body["code"].as_str()),
        (503, Some("database_unavailable")),
        "{:?}",
        away.body
    );
    let daemons = town.stack.records();
    town.stack.start_postgres().expect("PostgreSQL starts");
    let answer = eventually("the API recovers", || {
        let answer = customer.post("/api/instances", Some("during"), &body);
        (answer.status == 202).then_some(answer)
    });
    assert_eq!(customer.follow(&answer.location.expect("a location"))["state"], "succeeded");
    assert_eq!(town.count("SELECT count(*) FROM instances"), 2, "the refused try left no row");
    let same = |records: &[xtask::process::Record]| -> HashSet<i32> {
        records.iter().filter(|record| record.name.starts_with('z')).map(|record| record.pid).collect()
    };
    assert_eq!(same(&town.stack.records()), same(&daemons), "no daemon was restarted");
    let second = answer.body["instance"]["id"].as_str().expect("an id").to_owned();
    customer.remove(&first);
    customer.remove(&second);
    town.expect_nothing_left();
}

#[test]
fn fifty_creates_at_once_with_one_key_make_one_server() {
    let town = Town::start(&[smallest()]);
    let customer = town.customer("ida");
    let body = json!({ "name": "One", "blueprint": BLUEPRINT, "variant": "only", "plan": "small" });
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..50).map(|_| scope.spawn(|| customer.post("/api/instances", Some("same"), &body))).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    let mut operations = HashSet::new();
    for answer in &answers {
        match answer.status {
            202 => drop(operations.insert(answer.location.clone().expect("a location"))),
            409 => assert_eq!(answer.body["code"], "idempotency_in_progress"),
            _ => panic!("{:?}", answer.body),
        }
    }
    assert_eq!(operations.len(), 1, "{operations:?}");
    assert_eq!(
        town.stack.cluster.sql(DATABASE, "SELECT count(*) FROM instances").expect("a count").trim(),
        "1"
    );
}
