//! Creates that cannot succeed: the reason is understandable, it comes in time, and nothing is left.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zlh_tests::{Customer, Town};

/// A game that does `$1`, below the deadline of `$2` seconds.
fn game(id: &str, script: &str, deadline: u32) -> String {
    format!(
        r#"
id = "{id}"
name = "{id}"
summary = "A game for tests."
kind = "game"
min_memory_mib = 64
ports = [{{ name = "game", protocol = "tcp" }}]

[[variants]]
id = "only"
name = "Only"
versions = ["1"]
install = [{{ kind = "write", path = "game.sh", content = {script:?} }}]
run = {{ argv = ["/bin/sh", "game.sh"], stop_grace_seconds = 2 }}
ready = {{ probe = {{ kind = "tcp", port = "game" }}, deadline_seconds = {deadline} }}
"#
    )
}

fn failing(customer: &Customer, name: &str, blueprint: &str, variant: &str) -> (Value, Duration) {
    let (id, operation) = customer.create(name, blueprint, variant);
    let began = Instant::now();
    let ended = customer.follow(&operation);
    assert_eq!(ended["state"], "failed", "{ended}");
    let instance = customer.get(&format!("/api/instances/{id}")).body;
    assert_eq!(instance["lifecycle"], "failed", "{instance}");
    (ended["failure"].clone(), began.elapsed())
}

#[test]
fn a_create_that_cannot_succeed_fails_with_a_reason_and_leaves_nothing() {
    let crash = game("crash", "echo loading\necho the map is broken\nexit 3\n", 600);
    let silent = game("silent", "sleep 1000\n", 2);
    let town = Town::start(&[&crash, &silent]);
    let customer = town.customer("dan");

    let (failure, took) = failing(&customer, "Crash", "crash", "only");
    assert_eq!(failure["code"], "crashed_at_start", "{failure}");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains("the map is broken")), "{failure}");
    // The blueprint would wait ten minutes; a crash is known at once.
    assert!(took < Duration::from_mins(1), "{took:?}");

    let (failure, _) = failing(&customer, "Silent", "silent", "only");
    assert_eq!(failure["code"], "not_ready_in_time", "{failure}");

    for (file, kind, code) in [
        ("server.tar.gz", "not_found", "artifact_missing"),
        ("server.tar.gz", "wrong_bytes", "artifact_corrupt"),
        ("server.tar.gz", "cut", "artifact_unreachable"),
        ("manifest.json", "not_found", "artifact_missing"),
        ("manifest.json", "wrong_bytes", "artifact_unusable"),
    ] {
        town.disturb_artifacts(&format!("/minecraft-js/flying-squid/1.16.5/{file}"), kind);
        let (failure, _) = failing(&customer, &format!("{kind} {file}"), "minecraft-js", "flying-squid");
        assert_eq!(failure["code"], code, "{failure}");
        assert!(failure["message"].as_str().is_some_and(|text| text.len() > 20), "{failure}");
        town.calm_artifacts();
    }
    town.expect_nothing_left();
}

#[test]
fn a_request_that_makes_no_sense_gets_a_clear_4xx_and_leaves_nothing() {
    let town = Town::start(&[]);
    let customer = town.customer("eve");
    let good = json!({ "name": "Good", "blueprint": "teeworlds", "variant": "teeworlds", "plan": "small" });
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let huge = json!({ "memory_mib": 999_999, "cpu_percent": 100, "disk_mib": 1_024 });
    let cases = [
        (with("blueprint", json!("nonesuch")), 422, "unknown_blueprint"),
        (with("variant", json!("nonesuch")), 422, "unknown_variant"),
        (with("version", json!("9.9")), 422, "unknown_version"),
        (with("plan", json!("nonesuch")), 422, "unknown_plan"),
        (with("resources", huge), 422, "resources_above_plan"),
        (with("name", json!("")), 400, "validation_failed"),
        (with("name", json!("a\u{202e}b")), 422, "invalid_name"),
        (with("hostname", json!("Not a label")), 422, "invalid_hostname"),
        (with("surprise", json!(1)), 400, "malformed_json"),
    ];
    for (n, (body, status, code)) in cases.into_iter().enumerate() {
        let answer = customer.post("/api/instances", Some(&format!("bad-{n}")), &body);
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{body}: {:?}",
            answer.body
        );
        assert!(answer.body["detail"].is_string() && answer.body["type"].is_string(), "{:?}", answer.body);
    }
    let missing = customer.post("/api/instances", None, &good);
    assert_eq!((missing.status, missing.body["code"].as_str()), (400, Some("idempotency_key_missing")));
    assert_eq!(
        town.count("SELECT count(*) FROM instances") + town.count("SELECT count(*) FROM operations"),
        0
    );

    let eula = json!({ "name": "Java", "blueprint": "minecraft", "variant": "paper", "plan": "small" });
    let refused = customer.post("/api/instances", Some("eula"), &eula);
    assert!((400..500).contains(&refused.status), "{:?}", refused.body);

    // A node without room.
    town.sql("UPDATE nodes SET cordoned = true");
    let full = customer.post("/api/instances", Some("full"), &good);
    assert_eq!((full.status, full.body["code"].as_str()), (409, Some("no_capacity")), "{:?}", full.body);
    town.sql("UPDATE nodes SET cordoned = false");

    // A taken name, and a changed body under a used key.
    assert_eq!(customer.post("/api/instances", Some("one"), &good).status, 202);
    let taken = customer.post("/api/instances", Some("two"), &good);
    assert_eq!((taken.status, taken.body["code"].as_str()), (409, Some("name_taken")));
    let changed = customer.post("/api/instances", Some("one"), &with("name", json!("Other")));
    assert_eq!((changed.status, changed.body["code"].as_str()), (422, Some("idempotency_key_reused")));
    assert_eq!(town.count("SELECT count(*) FROM instances"), 1);
}
