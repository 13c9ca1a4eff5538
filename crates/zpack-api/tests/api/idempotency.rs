//! One request, however often it is sent.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{World, order};

#[tokio::test]
async fn a_create_needs_a_key_that_can_be_kept() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    client.post("/api/instances", order("Mine")).await.expect_problem(400, "idempotency_key_missing");
    for key in ["", "with space", &"k".repeat(256)] {
        client.create(key, &order("Mine")).await.expect_problem(400, "idempotency_key_invalid");
    }
}

#[tokio::test]
async fn the_same_request_again_is_the_same_operation() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let first = client.create("k", &order("Mine")).await.expect(202);
    // Written in another order, with a default spelled out: still the same request.
    let same = json!({ "variant": "standard", "plan": "small", "name": "Mine", "blueprint": "free-game",
                       "version": null, "accept_eula": false });
    let again = client.create("k", &same).await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.json(), first.json());
    client.create("k", &order("Another")).await.expect_problem(422, "idempotency_key_reused");
    assert_eq!(world.database.count("SELECT count(*) FROM instances").await, 1);
}

#[tokio::test]
async fn a_key_is_its_customers_own_and_is_forgotten_after_a_day() {
    let world = World::start().await;
    world.node("one", 10).await;
    let (ada, bob) = (world.customer("ada").await, world.customer("bob").await);
    ada.create("k", &order("Mine")).await.expect(202);
    bob.create("k", &order("Other")).await.expect(202);
    world.clock.advance(TimeDelta::hours(25));
    let later = ada.create("k", &order("Later")).await.expect(202);
    assert_eq!(later.header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_key_names_its_operation_even_when_the_server_is_gone() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let first = client.create("k", &order("Mine")).await.expect(202);
    world
        .database
        .execute(
            "UPDATE operations SET state = 'succeeded', finished_at = now();
             UPDATE instances SET lifecycle = 'deleted', capacity_held = false",
        )
        .await;
    let again = client.create("k", &order("Mine")).await.expect(202);
    assert_eq!(again.at("/operation/id"), first.at("/operation/id"));
    assert_eq!(again.at("/instance"), serde_json::Value::Null);
}

#[tokio::test]
async fn a_request_that_was_refused_does_not_use_up_its_key() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    client.create("k", &order("Mine")).await.expect_problem(409, "no_capacity");
    world.node("one", 1).await;
    client.create("k", &order("Mine")).await.expect(202);
}

#[tokio::test]
async fn fifty_at_once_with_one_key_are_one_server() {
    let world = World::start().await;
    world.node("one", 100).await;
    let client = world.customer("ada").await;
    let order = order("Mine");
    let all = (0..50).map(|_| {
        let (client, order) = (client.clone(), order.clone());
        tokio::spawn(async move {
            loop {
                let answer = client.create("k", &order).await;
                if answer.code() != "idempotency_in_progress" {
                    return answer.expect(202);
                }
                assert_eq!(answer.status.as_u16(), 409);
            }
        })
    });
    let mut locations = std::collections::BTreeSet::new();
    let mut fresh = 0;
    for one in all.collect::<Vec<_>>() {
        let answer = one.await.unwrap();
        locations.insert(answer.header("location").to_owned());
        fresh += usize::from(answer.header("idempotency-replayed").is_empty());
    }
    assert_eq!((locations.len(), fresh), (1, 1));
    for table in ["instances", "operations", "idempotency_keys"] {
        assert_eq!(world.database.count(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
    }
    assert_eq!(world.database.count("SELECT used_memory_mib FROM nodes").await, 1024);
}
