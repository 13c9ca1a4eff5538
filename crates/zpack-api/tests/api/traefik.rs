//! Routes for Traefik: whole or an error, the same until something has changed, and for nobody else.

use axum::http::{Method, header};
use serde_json::json;
use store::Db;

use crate::support::{Answer, Arrangement, Client, World, order};

const TOKEN: &str = "a token that nobody guesses";

async fn arrangement() -> Arrangement {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.traefik.token = TOKEN.into();
    arrangement.config.traefik.workspaces_url = "http://10.0.0.2:8080".into();
    arrangement
}

async fn ask(client: &Client, token: &str) -> Answer {
    let request = client.request(Method::GET, "/edge/traefik");
    client.send(request.header(header::AUTHORIZATION, format!("Bearer {token}"))).await
}

#[tokio::test]
async fn routes_are_for_whoever_has_the_token_and_not_there_without_one() {
    let world = arrangement().await.start();
    let anonymous = world.anonymous();
    anonymous.get("/edge/traefik").await.expect_problem(401, "unauthenticated");
    ask(&anonymous, "a token that somebody guessed").await.expect_problem(401, "unauthenticated");
    let none = ask(&anonymous, TOKEN).await.expect(200);
    assert_eq!((none.json(), none.header("content-type")), (json!({}), "application/json"));
    let off = World::start().await;
    ask(&off.anonymous(), "").await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn each_published_server_that_is_not_on_hold_has_its_routes_in_a_stable_order() {
    let world = arrangement().await.start();
    world.node("first", 10).await;
    let mara = world.customer("mara").await;
    let id = world.active_instance(&mara, "Alpha").await;
    let held = world.active_instance(&mara, "Beta").await;
    // One that is being made is not reachable yet.
    mara.create("Gamma", &order("Gamma")).await.expect(202);
    world
        .database
        .execute(&format!(
            "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
             VALUES (gen_random_uuid(), '{held}', 'abuse', 'x', 'test', now())"
        ))
        .await;
    let first = ask(&world.anonymous(), TOKEN).await.expect(200);
    let text = first.json().to_string();
    assert!(text.contains(&format!("zlh-{id}-")) && !text.contains(&held), "{text}");
    assert_eq!(text.matches("HostSNI").count() + text.matches("\"udp-").count(), 1, "{text}");
    let again = ask(&world.anonymous(), TOKEN).await.expect(200);
    assert_eq!(first.text, again.text);
    // Two servers behind one port: nobody is led to a stranger's server.
    let other = world.active_instance(&mara, "Delta").await;
    world
        .database
        .execute(&format!(
            "INSERT INTO nodes (id, name, public_host, agent_host, memory_mib, cpu_percent, disk_mib, created_at)
             VALUES (gen_random_uuid(), 'second', '10.0.0.9', '10.0.0.9', 1, 1, 1, now());
             UPDATE port_allocations SET node_id = (SELECT id FROM nodes WHERE name = 'second'),
                    port = (SELECT port FROM port_allocations WHERE instance_id = '{id}' AND name <> 'agent')
             WHERE instance_id = '{other}' AND name <> 'agent'"
        ))
        .await;
    ask(&world.anonymous(), TOKEN).await.expect_problem(503, "routes_conflict");
}

#[tokio::test]
async fn while_the_database_is_away_the_answer_is_no_document() {
    let mut arrangement = arrangement().await;
    let nowhere = "postgres://zlh_api@127.0.0.1:1/zlh".into();
    arrangement.db =
        Some(Db::connect_lazy(&nowhere, "test", 1, std::time::Duration::from_millis(200)).unwrap());
    let world = arrangement.start();
    ask(&world.anonymous(), TOKEN).await.expect_problem(503, "database_unavailable");
}
