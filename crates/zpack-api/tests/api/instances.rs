//! Servers: asking for one, seeing it, renaming and deleting it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Arrangement, Client, World, order};

async fn patch(client: &Client, id: &str, etag: Option<&str>, name: &str) -> crate::support::Answer {
    let request =
        client.request(Method::PATCH, &format!("/api/instances/{id}")).json(&json!({ "name": name }));
    client
        .send(match etag {
            Some(etag) => request.header("if-match", etag),
            None => request,
        })
        .await
}

#[tokio::test]
async fn a_server_is_asked_for_and_its_operation_can_be_watched() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let answer = client.create("k", &order("Mum's server")).await.expect(202);
    let operation = answer.at("/operation/id").as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/api/operations/{operation}"));
    assert_eq!(answer.header("idempotency-replayed"), "");
    let instance = answer.json()["instance"].clone();
    assert_eq!(instance["lifecycle"], "provisioning");
    assert_eq!(instance["version"], "2.0");
    assert_eq!(instance["active_operation"], operation);
    assert_eq!(instance["resources"]["memory_mib"], 1024);
    assert!(instance["hostname"].as_str().unwrap().starts_with("mum-s-server-"), "{instance}");
    assert_eq!(
        instance["ports"].as_array().unwrap().len(),
        1,
        "the agent's port is nobody's business: {instance}"
    );

    let shown = client.get(answer.header("location")).await.expect(200);
    assert_eq!((shown.at("/kind"), shown.at("/state")), (json!("create"), json!("queued")));
    assert_eq!(shown.at("/steps"), json!([]));
    let listed = client.get("/api/operations").await.expect(200);
    assert_eq!(listed.at("/items/0/id"), operation);
    let one = client.get(&format!("/api/instances/{}", instance["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((one.json(), one.header("etag")), (instance, "\"1\""));
    assert!(!one.text.contains("node") && !one.text.contains("fingerprint"), "{}", one.text);
}

#[tokio::test]
async fn the_licence_and_the_version_are_the_customers_choice() {
    let world = World::start().await;
    world.node("one", 2).await;
    let client = world.customer("ada").await;
    let mut order = json!({ "name": "A", "hostname": "my-own-name", "blueprint": "licensed-game",
        "variant": "standard", "version": "1.20.4", "plan": "small",
        "resources": { "memory_mib": 512, "cpu_percent": 50, "disk_mib": 1024 } });
    let refused = client.create("k", &order).await.expect_problem(422, "eula_not_accepted");
    assert!(refused.text.contains("https://example.org/licence"));
    order["accept_eula"] = json!(true);
    let made = client.create("k", &order).await.expect(202);
    assert_eq!(
        (made.at("/instance/version"), made.at("/instance/hostname")),
        (json!("1.20.4"), json!("my-own-name"))
    );
    assert!(made.at("/instance/eula_accepted_at").is_string());
    assert_eq!(made.at("/instance/resources/memory_mib"), 512);
}

#[tokio::test]
async fn an_order_that_cannot_be_had_is_refused_and_leaves_nothing() {
    let world = World::start().await;
    world.node("one", 100).await;
    let client = world.customer("ada").await;
    let with = |pointer: &str, value: Value| {
        let mut order = order("Mine");
        order[pointer] = value;
        order
    };
    let resources = |memory: u32| json!({ "memory_mib": memory, "cpu_percent": 100, "disk_mib": 1024 });
    for (order, status, code) in [
        (with("blueprint", json!("nothing")), 422, "unknown_blueprint"),
        (with("variant", json!("nothing")), 422, "unknown_variant"),
        (with("version", json!("9.9")), 422, "unknown_version"),
        (with("plan", json!("nothing")), 422, "unknown_plan"),
        (with("plan", json!("workspace")), 422, "plan_kind_mismatch"),
        (with("resources", resources(2048)), 422, "resources_above_plan"),
        (with("resources", resources(128)), 422, "memory_below_minimum"),
        (with("resources", resources(0)), 400, "validation_failed"),
        (with("name", json!(" spaces ")), 422, "invalid_name"),
        (with("name", json!("x".repeat(49))), 422, "invalid_name"),
        (with("hostname", json!("admin")), 422, "invalid_hostname"),
        (with("hostname", json!("Not A Label")), 422, "invalid_hostname"),
        (with("surprise", json!(1)), 400, "malformed_json"),
    ] {
        client.create("k", &order).await.expect_problem(status, code);
    }
    for table in ["instances", "operations", "idempotency_keys", "blueprint_versions"] {
        assert_eq!(world.database.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    let taken = "SELECT count(*) FROM port_allocations WHERE instance_id IS NOT NULL";
    assert_eq!(world.database.count(taken).await, 0);
    client.create("k", &order("Mine")).await.expect(202);
}

#[tokio::test]
async fn names_are_unique_within_an_account_and_hostnames_everywhere() {
    let world = World::start().await;
    world.node("one", 10).await;
    let (ada, bob) = (world.customer("ada").await, world.customer("bob").await);
    let mut wanted = order("Mine");
    wanted["hostname"] = json!("the-one");
    ada.create("1", &wanted).await.expect(202);
    ada.create("2", &order("MINE")).await.expect_problem(409, "name_taken");
    bob.create("1", &wanted).await.expect_problem(409, "hostname_taken");
    bob.create("1", &order("Mine")).await.expect(202);
}

#[tokio::test]
async fn an_account_has_as_many_servers_as_it_may_and_a_node_as_it_can() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.api.default_instance_limit = 1;
    let world = arrangement.start();
    world.node("one", 2).await;
    let (ada, bob, eve) =
        (world.customer("ada").await, world.customer("bob").await, world.customer("eve").await);
    ada.create("1", &order("One")).await.expect(202);
    ada.create("2", &order("Two")).await.expect_problem(403, "instance_limit_reached");
    bob.create("1", &order("One")).await.expect(202);
    eve.create("1", &order("One")).await.expect_problem(409, "no_capacity");
    assert_eq!(world.database.count("SELECT count(*) FROM instances").await, 2);
}

#[tokio::test]
async fn a_list_comes_in_pages_newest_first() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    for n in 0..5 {
        client.create(&n.to_string(), &order(&format!("Server {n}"))).await.expect(202);
    }
    let names = |answer: &crate::support::Answer| -> Vec<String> {
        answer
            .at("/items")
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = client.get("/api/instances?limit=3").await.expect(200);
    assert_eq!(names(&first), ["Server 4", "Server 3", "Server 2"]);
    let cursor = first.at("/next_cursor").as_str().unwrap().to_owned();
    let second = client.get(&format!("/api/instances?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!(names(&second), ["Server 1", "Server 0"]);
    assert_eq!(second.at("/next_cursor"), Value::Null);
    let instance = second.at("/items/0/id");
    let operations = client.get(&format!("/api/operations?instance_id={}", instance.as_str().unwrap())).await;
    assert_eq!(operations.at("/items").as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rename_does_not_undo_somebody_elses() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Before").await;
    client.create("other", &order("Other")).await.expect(202);

    patch(&client, &id, None, "After").await.expect_problem(428, "if_match_missing");
    patch(&client, &id, Some("\"99\""), "After").await.expect_problem(412, "version_mismatch");
    patch(&client, &id, Some("nonsense"), "After").await.expect_problem(412, "version_mismatch");
    patch(&client, &id, Some("\"1\""), "Other").await.expect_problem(409, "name_taken");
    let answer = patch(&client, &id, Some("\"1\""), " ").await.expect_problem(422, "invalid_name");
    assert!(answer.at("/detail").as_str().unwrap().starts_with("Nothing was changed"), "{}", answer.text);
    assert_eq!(answer.at("/errors/0/field"), "name");
    let renamed = patch(&client, &id, Some("\"1\""), "After").await.expect(200);
    assert_eq!((renamed.at("/name"), renamed.header("etag")), (json!("After"), "\"2\""));
    patch(&client, &id, Some("\"1\""), "Too late").await.expect_problem(412, "version_mismatch");
}

#[tokio::test]
async fn a_rename_of_any_version_finds_the_present_one_but_none_that_is_being_deleted() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Before").await;
    for (name, etag) in [("Second", "\"2\""), ("Third", "\"3\"")] {
        let renamed = patch(&client, &id, Some("*"), name).await.expect(200);
        assert_eq!((renamed.at("/name"), renamed.header("etag")), (json!(name), etag));
    }
    // All of them win, one after the other.
    let names: Vec<String> = (0..8).map(|n| format!("Name {n}")).collect();
    let renames = names.iter().map(|name| patch(&client, &id, Some("*"), name));
    for answer in futures_util::future::join_all(renames).await {
        answer.expect(200);
    }
    client.delete(&format!("/api/instances/{id}")).await.expect(202);
    patch(&client, &id, Some("*"), "Late").await.expect_problem(409, "instance_not_active");
}

#[tokio::test]
async fn a_delete_is_one_operation_however_often_it_is_asked_for() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    let path = format!("/api/instances/{id}");
    let first = client.delete(&path).await.expect(202);
    assert_eq!(first.at("/instance/lifecycle"), "deleting");
    assert_eq!(first.at("/operation/kind"), "delete");
    let second = client.delete(&path).await.expect(202);
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(world.database.count("SELECT count(*) FROM operations WHERE kind = 'delete'").await, 1);
}

#[tokio::test]
async fn a_server_that_is_being_made_is_not_deleted_under_its_makers_hands() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let made = client.create("k", &order("Mine")).await.expect(202);
    let path = format!("/api/instances/{}", made.at("/instance/id").as_str().unwrap());
    client.delete(&path).await.expect_problem(409, "instance_busy");
}

#[tokio::test]
async fn who_did_what_is_in_the_audit_log() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let script = client.make_key(&["instances:write"], &world.in_days(1)).await;
    let request = script.request(Method::POST, "/api/instances").json(&order("Mine"));
    let request = request.header("idempotency-key", "k").header("x-request-id", "trace-0123456789");
    script.send(request).await.expect(202);
    let sql = "SELECT count(*) FROM audit_log WHERE action = 'instance.create' AND actor LIKE 'key:%'
               AND request_id = 'trace-0123456789'";
    assert_eq!(world.database.count(sql).await, 1);
}
