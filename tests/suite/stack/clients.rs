//! Real clients and real games.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use store::testing::required;
use xtask::{minecraft, stack::Daemon};
use zlh_tests::{Customer, Town, eventually};

/// A third-party client joins, chats, and leaves. Returns what it says of it.
pub(super) fn join(address: &str) -> Value {
    let (host, port) = address.rsplit_once(':').expect("host:port");
    run(host, port)
}

/// The same, by a name that this name server knows.
pub(super) fn join_by_name(name: &str, server: std::net::SocketAddr) -> Value {
    run(name, &format!("dns:{server}"))
}

fn run(host: &str, port: &str) -> Value {
    let script = PathBuf::from(required("ZLH_TEST_JS")).join("join.mjs");
    #[expect(clippy::disallowed_methods, reason = "the client is a program")]
    let output = std::process::Command::new("node").arg(script).args([host, port]).output().expect("node");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(said.trim())
        .unwrap_or_else(|_| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)))
}

pub(super) fn answers(address: &str) -> bool {
    minecraft::ping(address, Duration::from_secs(1)).is_ok()
}

pub(super) fn power(customer: &Customer, id: &str, action: &str) {
    let answer = customer.post(&format!("/api/instances/{id}/power"), None, &json!({ "action": action }));
    assert_eq!(answer.status, 202, "{action}: {:?}", answer.body);
}

#[test]
fn a_client_joins_a_created_server_and_stop_and_delete_make_it_unjoinable() {
    let town = Town::start(&[]);
    let customer = town.customer("ada");
    let (id, address) = customer.server("World", "minecraft-js", "flying-squid");
    let joined = join(&address);
    assert_eq!((&joined["joined"], &joined["chatted"]), (&json!(true), &json!(true)), "{joined}");

    power(&customer, &id, "stop");
    eventually("stopped", || (!answers(&address)).then_some(()));
    let refused = join(&address);
    assert_eq!(refused["joined"], json!(false), "{refused}");
    power(&customer, &id, "start");
    eventually("started", || answers(&address).then_some(()));
    power(&customer, &id, "restart");
    eventually("restarted", || {
        let status = customer.get(&format!("/api/instances/{id}/status")).body;
        (status["state"] == "running" && answers(&address)).then_some(())
    });
    power(&customer, &id, "kill");
    eventually("killed", || (!answers(&address)).then_some(()));

    customer.remove(&id);
    assert!(!answers(&address));
    town.expect_nothing_left();
}

#[test]
fn a_server_outlives_its_worker_and_its_agent_and_a_container_that_dies_is_brought_back() {
    let mut town = Town::start(&[]);
    let customer = town.customer("bea");
    let (id, address) = customer.server("World", "minecraft-js", "flying-squid");
    let before = town.game_processes();
    town.stack.stop(Daemon::Worker).expect("the worker stops");
    assert!(answers(&address), "stopping the worker stops no server");
    town.stack.start(Daemon::Worker).expect("the worker starts");
    assert!(answers(&address));
    assert_eq!(town.game_processes(), before);
    let agents = town.kill_agents();
    eventually("other agents", || {
        let now = town.agents();
        (now.len() == agents.len() && now.iter().all(|agent| !agents.contains(agent))).then_some(())
    });
    assert!(answers(&address), "the game does not notice");
    town.kill_containers();
    eventually("the game ends with its container", || (!answers(&address)).then_some(()));
    eventually("agent and game are back", || answers(&address).then_some(()));
    customer.remove(&id);
    town.expect_nothing_left();
}

#[test]
fn luanti_and_teeworlds_are_ready_when_they_say_so_by_their_own_protocol() {
    let town = Town::start(&[]);
    let customer = town.customer("cy");
    let catalogue = customer.get("/api/catalogue/blueprints").body;
    for blueprint in ["luanti", "teeworlds"] {
        let known = catalogue.as_array().expect("a list");
        let found = known.iter().find(|item| item["id"] == blueprint).expect("the blueprint");
        let variant = found["variants"][0]["id"].as_str().expect("a variant").to_owned();
        let (id, address) = customer.server(blueprint, blueprint, &variant);
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        let status = customer.get(&format!("/api/instances/{id}/status")).body;
        assert_eq!(status["state"], "running", "{status}");
        customer.remove(&id);
    }
    town.expect_nothing_left();
}
