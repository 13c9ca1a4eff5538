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
