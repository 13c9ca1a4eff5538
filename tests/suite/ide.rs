//! A development workspace in a real browser: JupyterLab behind the proxy, from the ticket to the logout.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use store::testing::required;
use zlh_tests::{Town, eventually};

/// Sockets end within 5 s of their right; the rest is for a machine that is busy with other tests.
const CLOSED_WITHIN: Duration = Duration::from_secs(15);

fn browse(task: &Value) -> Value {
    let script = PathBuf::from(required("ZLH_TEST_JS")).join("ide.mjs");
    #[expect(clippy::disallowed_methods, reason = "the browser is a program")]
    let output = std::process::Command::new("node").arg(script).arg(task.to_string()).output().expect("node");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(said.trim())
        .unwrap_or_else(|_| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_browser_opens_a_workspace_works_in_its_terminal_and_is_shut_out_by_the_logout() {
    let town = Town::start(&[]);
    let (ada, _bob) = (town.customer("ada"), town.customer("bob"));
    let order = json!({ "name": "Space", "hostname": "ada-space", "blueprint": "dev-python", "variant": "jupyter",
                        "plan": "dev-small" });
    let answer = ada.post("/api/instances", Some("space"), &order);
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    let ended = ada.follow(&answer.location.expect("a location"));
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let id = answer.body["instance"]["id"].as_str().expect("an id").to_owned();
    let instance = ada.get(&format!("/api/instances/{id}")).body;
    assert_eq!(
        (&instance["lifecycle"], &instance["address"]),
        (&json!("active"), &Value::Null),
        "{instance}"
    );

    let portal = town.stack.api_url();
    let host = portal.replace("http://127.0.0.1", "ada-space.ide.localhost");
    let seen = browse(&json!({
        "portal": portal, "instance": id, "host": host, "owner": "ada@example.com", "other": "bob@example.com",
        "password": zlh_tests::PASSWORD, "picture": std::env::var("ZLH_TEST_PICTURE").ok(),
    }));
    assert_eq!(seen["error"], Value::Null, "{seen}");
    let login = format!("{portal}/?ide=ada-space");
    for outside in ["nobody", "stranger", "without_ticket", "reload"] {
        assert_eq!(seen[outside], login, "{outside}: {seen}");
    }
    let entered = seen["entered"].as_str().unwrap_or_default();
    assert!(entered.starts_with(&format!("http://{host}/lab")) && !entered.contains("ticket"), "{seen}");
    let host_only = json!("zlh_ide ada-space.ide.localhost true");
    assert!(seen["cookies"].as_array().is_some_and(|all| all.contains(&host_only)), "{seen}");
    assert_eq!((&seen["strangers_ticket"], &seen["ticket_again"]), (&json!(404), &json!(403)), "{seen}");
    assert_eq!(seen["other_workspace"], 404, "{seen}");
    assert_eq!(seen["content"], "written by 42\n", "{seen}");
    assert_eq!((&seen["listed"], &seen["kernel"]), (&json!(true), &json!("42\n")), "{seen}");
    assert!(seen["sockets"].as_u64().is_some_and(|opened| opened > 0), "{seen}");
    assert_eq!(seen["after_logout"], 401, "{seen}");
    assert_eq!(seen["received"], Value::Null, "{seen}");
    let closed = Duration::from_millis(seen["closed_ms"].as_u64().expect("a time"));
    assert!(closed < CLOSED_WITHIN, "{seen}");

    // What was written is there after a stop and a start, and the workspace goes as it came.
    let ada = town.sign_in("ada@example.com");
    for (action, state) in [("stop", "stopped"), ("start", "running"), ("restart", "running")] {
        let answer = ada.post(&format!("/api/instances/{id}/power"), None, &json!({ "action": action }));
        assert_eq!(answer.status, 202, "{action}: {:?}", answer.body);
        eventually(state, || {
            (ada.get(&format!("/api/instances/{id}/status")).body["state"] == state).then_some(())
        });
    }
    ada.remove(&id);
    town.expect_nothing_left();
}
