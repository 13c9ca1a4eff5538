//! Everything that is not a success is a problem, and every answer has the headers that protect it.

use integrations::scenario::When;
use reqwest::Method;
use serde_json::json;

use crate::support::{Arrangement, Client, World};

#[tokio::test]
async fn what_does_not_exist_and_what_cannot_be_done_are_problems() {
    let world = World::start().await;
    let client = world.anonymous();
    for path in ["/assets/nothing", "/api/nothing", "/api", "/api/docs/nothing.js", "/problems/nothing"] {
        client.get(path).await.expect_problem(404, "not_found");
    }
    client.delete("/nothing").await.expect_problem(404, "not_found");
    let answer = client.delete("/api/me").await.expect_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    let client = world.customer("ada").await;
    for path in ["/api/instances/not-an-id", "/api/operations/not-an-id"] {
        client.get(path).await.expect_problem(404, "not_found");
    }
    client.delete("/api/api-keys/not-an-id").await.expect_problem(404, "not_found");
    client.get("/api/instances?limit=many").await.expect_problem(400, "invalid_parameter");
    for limit in [0, 101] {
        let answer = client.get(&format!("/api/instances?limit={limit}")).await;
        let answer = answer.expect_problem(400, "invalid_parameter");
        assert!(answer.text.contains("limit is 1 to 100"), "{}", answer.text);
    }
    client.get("/api/instances?limit=100").await.expect(200);
    client.get("/api/instances?cursor=last").await.expect_problem(400, "invalid_parameter");
}

#[tokio::test]
async fn bodies_that_cannot_be_taken_are_problems() {
    let world = World::start().await;
    let client = world.anonymous();
    let post = || client.request(Method::POST, "/api/auth/login");
    let json = |body: &'static str| post().header("content-type", "application/json").body(body);
    client.send(post().body("{}")).await.expect_problem(415, "unsupported_media_type");
    client
        .send(post().header("content-type", "text/plain").body("{}"))
        .await
        .expect_problem(415, "unsupported_media_type");
    client.send(json("{")).await.expect_problem(400, "malformed_json");
    client.send(json("{}")).await.expect_problem(400, "malformed_json");
    client
        .send(json(r#"{"email":"a@b.c","password":"x","admin":true}"#))
        .await
        .expect_problem(400, "malformed_json");
    let large = format!(r#"{{"email":"{}"}}"#, "a".repeat(64 * 1024));
    let large = post().header("content-type", "application/json").body(large);
    client.send(large).await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named_and_a_secret_is_not_repeated() {
    let world = World::start().await;
    let client = world.anonymous();
    let body = json!({ "email": "nonsense", "password": "", "display_name": "" });
    let answer = client.post("/api/auth/register", body).await.expect_problem(400, "validation_failed");
    let mut fields: Vec<_> = answer
        .at("/errors")
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].as_str().unwrap().to_owned())
        .collect();
    fields.sort();
    assert_eq!(fields, ["display_name", "email", "password"]);
    let body = json!({ "email": "secret-secret", "password": ["secret-secret"] });
    let answer = client.post("/api/auth/login", body).await.expect_problem(400, "malformed_json");
    assert!(!answer.text.contains("secret-secret"), "{}", answer.text);
}

#[tokio::test]
async fn a_request_keeps_the_id_that_it_came_with() {
    let world = World::start().await;
    let client = world.anonymous();
    let request = client.request(Method::GET, "/api/me").header("x-request-id", "trace-0123456789");
    let answer = client.send(request).await.expect_problem(401, "unauthenticated");
    assert_eq!(answer.header("x-request-id"), "trace-0123456789");
    let request = client.request(Method::GET, "/api/me").header("x-request-id", "<script>");
    assert_ne!(client.send(request).await.header("x-request-id"), "<script>");
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let world = World::start().await;
    for path in
        ["/", "/nothing", "/api/me", "/api/docs/", "/api/openapi.json", "/problems/not_found", "/style.css"]
    {
        let answer = world.anonymous().get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'")
                || policy.starts_with("default-src 'self'; script-src 'self'; "),
            "{path}: {policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("script-src 'unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert!(!answer.header("cache-control").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_problems_type_leads_to_a_page_about_it() {
    let world = World::start().await;
    let answer = world.anonymous().get("/api/me").await;
    let page = world.anonymous().get(answer.at("/type").as_str().unwrap()).await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("unauthenticated"));
}

#[tokio::test]
async fn beyond_its_bounds_the_api_says_so_at_once() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.api.max_requests = 1;
    // Longer than it takes to make an account on a busy machine, which has the same bound.
    arrangement.config.api.request_timeout_ms = 2_000;
    let world = arrangement.start();
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    // An agent that does not answer holds the only place until the time is over.
    world.agents.scenario.disturb("status", When::HangBefore, 1);
    let stuck = tokio::spawn(async move { client.get(&format!("/api/instances/{id}/status")).await });
    let look = async || world.anonymous().get("/api/openapi.json").await;
    World::eventually("the place is taken", async || look().await.code() == "overloaded").await;
    // The Portal itself takes no place: it is there to say that there is none.
    world.anonymous().get("/").await.expect(200);
    let answer = look().await;
    if answer.status.as_u16() == 503 {
        assert!(!answer.header("retry-after").is_empty());
    }
    stuck.await.unwrap().expect_problem(504, "timed_out");
    world.anonymous().get("/").await.expect(200);
}

/// A login whose body never comes.
fn half_sent(world: &World) -> tokio::task::JoinHandle<()> {
    let client = world.anonymous();
    tokio::spawn(async move {
        let body = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request =
            client.request(Method::POST, "/api/auth/login").header("content-type", "application/json");
        client.send(request.body(reqwest::Body::wrap_stream(body))).await.expect_problem(408, "body_timeout");
    })
}

#[tokio::test]
async fn whoever_sends_a_body_slowly_keeps_nobody_out() {
    let mut arrangement = Arrangement::usual().await;
    (arrangement.config.api.max_requests, arrangement.config.api.max_requests_per_address) = (2, 2);
    let world = arrangement.start();
    let slow = (0..8).map(|_| half_sent(&world)).collect::<Vec<_>>();
    // They have no places, so these are answered while they hang.
    for _ in 0..20 {
        world.anonymous().get("/").await.expect(200);
    }
    assert!(slow.iter().all(|it| !it.is_finished()), "they were still hanging");
    for hanging in slow {
        hanging.await.unwrap();
    }
}

#[tokio::test]
async fn an_account_and_an_address_have_their_share_of_the_places() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.api.max_requests_per_customer = 3;
    arrangement.config.api.max_requests_per_address = 5;
    let world = arrangement.start();
    world.node("one", 10).await;
    let (ada, bob) = (world.customer("ada").await, world.customer("bob").await);
    let ids = [world.active_instance(&ada, "A").await, world.active_instance(&bob, "B").await];
    world.agents.scenario.disturb("status", When::HangBefore, 5);
    let hang = |client: &Client, id: &str| {
        let (client, path) = (client.clone(), format!("/api/instances/{id}/status"));
        tokio::spawn(async move { client.get(&path).await })
    };
    let mut hanging = (0..3).map(|_| hang(&ada, &ids[0])).collect::<Vec<_>>();
    World::eventually("ada has her share", async || ada.get("/api/me").await.code() == "too_many_requests")
        .await;
    // Another account, and who is nobody, are served; until the address has its share too.
    bob.get("/api/me").await.expect(200);
    hanging.extend((0..2).map(|_| hang(&bob, &ids[1])));
    World::eventually("so has the address", async || {
        world.anonymous().get("/api/openapi.json").await.code() == "too_many_requests"
    })
    .await;
    for answer in hanging {
        answer.await.unwrap().expect_problem(503, "agent_unreachable");
    }
    ada.get("/api/me").await.expect(200);
}
