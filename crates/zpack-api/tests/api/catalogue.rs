//! What can be ordered.

use integrations::scenario::When;
use serde_json::json;

use crate::support::{World, order};

#[tokio::test]
async fn versions_come_from_the_file_or_else_from_the_artifact_source_newest_first() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let list = client.get("/api/catalogue/blueprints").await.expect(200);
    assert_eq!(list.at("/0/id"), "free-game");
    assert_eq!(list.at("/0/variants/0/versions"), json!(["2.0", "1.0"]));
    assert_eq!(list.at("/1/eula/name"), "The licence");
    assert_eq!(list.at("/1/variants/0/versions"), json!(["1.21", "1.20.4", "1.9"]));
    let plans = client.get("/api/catalogue/plans").await.expect(200);
    assert_eq!(plans.at("/0/resources/memory_mib"), 1024);
}

#[tokio::test]
async fn while_the_artifact_source_is_away_other_games_can_be_had() {
    let world = World::start().await;
    world.node("one", 2).await;
    world.artifacts.scenario.disturb("catalog", When::FailBefore, 2);
    let client = world.customer("ada").await;
    let list = client.get("/api/catalogue/blueprints").await.expect(200);
    assert_eq!(list.at("/1/variants/0/versions"), json!([]));
    let licensed = json!({ "name": "B", "blueprint": "licensed-game", "variant": "standard", "plan": "small",
                           "accept_eula": true });
    client.create("b", &licensed).await.expect_problem(503, "catalogue_unavailable");
    client.create("a", &order("A")).await.expect(202);
}

#[tokio::test]
async fn a_plan_says_whether_there_is_room_and_a_hostname_whether_it_is_free() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let room = async || client.get("/api/catalogue/plans").await.expect(200).at("/0/available");
    assert_eq!(room().await, json!(false), "there is no node");
    world.node("one", 1).await;
    assert_eq!(room().await, json!(true));

    let free = async |hostname: &str| {
        let answer = client.get(&format!("/api/catalogue/hostnames?hostname={hostname}")).await.expect(200);
        (answer.at("/available"), answer.at("/reason/code"))
    };
    assert_eq!(free("survival").await, (json!(true), json!(null)));
    let mut wanted = order("A");
    wanted["hostname"] = json!("survival");
    client.create("a", &wanted).await.expect(202);
    assert_eq!(free("survival").await, (json!(false), json!("hostname_taken")));
    assert_eq!(free("-no-").await, (json!(false), json!("invalid_hostname")));
    assert_eq!(room().await, json!(false), "it was the last room");
    client.get("/api/catalogue/hostnames").await.expect_problem(400, "invalid_parameter");
}

#[tokio::test]
async fn who_waits_is_told_the_place() {
    let world = World::start().await;
    world.node("one", 2).await;
    let client = world.customer("ada").await;
    for (name, place) in [("A", 1), ("B", 2)] {
        let operation = client.create(name, &order(name)).await.expect(202).at("/operation/id");
        let path = format!("/api/operations/{}", operation.as_str().unwrap());
        assert_eq!(client.get(&path).await.expect(200).at("/queue_position"), place);
    }
}
