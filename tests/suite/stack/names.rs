//! Servers with names: a third-party client finds one by its name alone, and nothing of it stays when it goes.

use serde_json::{Value, json};
use xtask::http::Http;
use zlh_tests::Town;

use super::clients::join_by_name;

pub(super) const RECORDS: &str = "/cloudflare/client/v4/zones/sandbox/dns_records";
pub(super) const TOKEN: &[(&str, &str)] = &[("authorization", "Bearer sandbox")];

pub(super) fn records(sandbox: &Http) -> Vec<Value> {
    let answer = sandbox.get(RECORDS, TOKEN).expect("an answer");
    answer.body["result"].as_array().expect("records").clone()
}

#[test]
fn a_client_joins_by_name_and_a_deleted_servers_name_is_gone() {
    let town = Town::start_with_names();
    let sandbox = Http::new(&town.stack.sandbox_url());
    let customer = town.customer("ada");
    // The service is away for a moment: the create waits for it.
    let fault = json!({ "path_prefix": RECORDS, "kind": "status", "status": 502, "times": 3 });
    assert_eq!(sandbox.post("/_faults", &[], &fault).expect("an answer").status, 204);
    let (id, address) = customer.server("World", "minecraft-js", "flying-squid");
    assert!(address.ends_with(".play.zlh.test") && !address.contains(':'), "{address}");
    assert_eq!(join_by_name(&address, town.stack.names())["joined"], true);
    assert_eq!(records(&sandbox).len(), 2);

    customer.remove(&id);
    assert_eq!(records(&sandbox), [Value::Null; 0]);
    assert_eq!(join_by_name(&address, town.stack.names())["joined"], false);
    town.expect_nothing_left();
}

#[test]
fn a_name_that_somebody_else_has_made_fails_the_create_cleanly_and_stays_as_it_is() {
    let town = Town::start_with_names();
    let sandbox = Http::new(&town.stack.sandbox_url());
    let theirs = json!({ "type": "A", "name": "castle.play.zlh.test", "content": "198.51.100.1", "comment": "by hand" });
    assert_eq!(sandbox.post(RECORDS, TOKEN, &theirs).expect("an answer").status, 200);
    let before = records(&sandbox);
    let customer = town.customer("ada");
    let order = json!({ "name": "Castle", "hostname": "castle", "blueprint": "minecraft-js", "variant": "flying-squid",
                        "plan": "small" });
    let answer = customer.post("/api/instances", Some("castle"), &order);
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    let ended = customer.follow(&answer.location.expect("a location"));
    assert_eq!(
        (&ended["state"], &ended["failure"]["code"]),
        (&json!("failed"), &json!("edge_name_taken")),
        "{ended}"
    );
    assert_eq!(records(&sandbox), before);
    town.expect_nothing_left();
}
