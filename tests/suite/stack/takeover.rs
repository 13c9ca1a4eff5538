//! A worker is killed, at any moment of a create: another goes on, and there is one server in the end.

use std::{
    thread,
    time::{Duration, Instant},
};

use xtask::{minecraft, stack::Daemon};
use zlh_tests::{Town, eventually};

/// What architecture.md promises. A property of lease and sweep, not of this machine's speed.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);

#[test]
fn a_killed_workers_operation_is_taken_over_in_time_and_makes_one_server() {
    let mut town = Town::start(&[]);
    let customer = town.customer("jo");
    // Early, in the middle of the installation, and while the game boots.
    for (n, pause) in [10, 250, 900].into_iter().enumerate() {
        let (id, operation) = customer.create(&format!("World {n}"), "minecraft-js", "flying-squid");
        thread::sleep(Duration::from_millis(pause));
        let before = town.count(&claims(&operation));
        town.stack.kill(Daemon::Worker).expect("the worker dies");
        let killed = Instant::now();
        town.stack.start(Daemon::Worker).expect("another worker");
        let ended = customer.get(&operation).body["finished_at"].is_string();
        if !ended {
            eventually("the takeover", || (town.count(&claims(&operation)) > before).then_some(()));
            assert!(killed.elapsed() < TAKEN_OVER_WITHIN, "taken over after {:?}", killed.elapsed());
        }
        let end = customer.follow(&operation);
        assert_eq!(end["state"], "succeeded", "{end}");
        let instance = customer.get(&format!("/api/instances/{id}")).body;
        let address = instance["address"].as_str().expect("an address");
        assert!(minecraft::ping(address, Duration::from_secs(2)).is_ok());
        assert_eq!(town.holdings()[3], 1, "one container");
        customer.remove(&id);
    }
    town.expect_nothing_left();
}

/// How often the operation was claimed.
fn claims(operation: &str) -> String {
    let id = operation.rsplit('/').next().unwrap_or_default();
    format!("SELECT lease_term FROM operations WHERE id = '{id}'")
}

#[test]
fn a_worker_that_is_asked_to_stop_lets_its_operation_go_and_the_next_one_goes_on_at_once() {
    let mut town = Town::start(&[]);
    let customer = town.customer("kim");
    let (id, operation) = customer.create("World", "minecraft-js", "flying-squid");
    eventually("work begins", || customer.get(&operation).body["started_at"].is_string().then_some(()));
    town.stack.stop(Daemon::Worker).expect("the worker stops");
    town.stack.start(Daemon::Worker).expect("the worker starts");
    assert_eq!(customer.follow(&operation)["state"], "succeeded");
    let operation_id = operation.rsplit('/').next().unwrap_or_default();
    let interruptions = format!("SELECT interruptions FROM operations WHERE id = '{operation_id}'");
    assert_eq!(town.count(&interruptions), 0);
    customer.remove(&id);
    town.expect_nothing_left();
}
