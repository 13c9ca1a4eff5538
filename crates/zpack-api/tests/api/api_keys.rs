//! API keys: shown once, bounded in time and scope, revocable.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{PASSWORD, World};

#[tokio::test]
async fn a_key_is_shown_once_and_works_within_its_scopes() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let body =
        json!({ "name": "ci", "scopes": ["account:read", "account:read"], "expires_at": world.in_days(30) });
    let made = client.post("/api/api-keys", body).await.expect(201);
    let key = made.at("/key").as_str().unwrap().to_owned();
    assert!(key.starts_with("zlh_") && key.len() == 47, "{key}");
    assert_eq!(made.at("/api_key/scopes"), json!(["account:read"]));

    let list = client.get("/api/api-keys").await.expect(200);
    assert_eq!(list.at("/0/prefix").as_str().unwrap(), &key[..10]);
    assert!(!list.text.contains(&key), "{}", list.text);

    let script = client.with_key(&key);
    script.get("/api/me").await.expect(200);
    script.get("/api/instances").await.expect_problem(403, "scope_missing");
    assert!(client.get("/api/api-keys").await.at("/0/last_used_at").is_string());
}

#[tokio::test]
async fn a_key_ends_when_it_expires_and_when_it_is_revoked() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let short = client.make_key(&["account:read"], &world.in_days(1)).await;
    let revoked = client.make_key(&["account:read"], &world.in_days(30)).await;
    let id = client.get("/api/api-keys").await.at("/0/id");

    client.delete(&format!("/api/api-keys/{}", id.as_str().unwrap())).await.expect(204);
    revoked.get("/api/me").await.expect_problem(401, "unauthenticated");
    client.delete(&format!("/api/api-keys/{}", id.as_str().unwrap())).await.expect_problem(404, "not_found");

    short.get("/api/me").await.expect(200);
    world.clock.advance(TimeDelta::days(1));
    short.get("/api/me").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_key_lives_for_a_year_at_most_and_does_something() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let make = async |scopes: &[&str], expires_at: String| {
        let body = json!({ "name": "ci", "scopes": scopes, "expires_at": expires_at });
        client.post("/api/api-keys", body).await
    };
    for days in [-1, 0, 366] {
        let answer =
            make(&["account:read"], world.in_days(days)).await.expect_problem(400, "validation_failed");
        assert_eq!(answer.at("/errors/0/field"), "expires_at");
    }
    make(&[], world.in_days(1)).await.expect_problem(400, "validation_failed");
    make(&["everything"], world.in_days(1)).await.expect_problem(400, "malformed_json");
    make(&["account:read"], world.in_days(365)).await.expect(201);
}

#[tokio::test]
async fn a_keys_name_has_nothing_that_people_cannot_see() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    for name in ["a\0b", "a\tb", "a\u{2066}b", "a\u{FEFF}b", "", &"x".repeat(49)] {
        let body = json!({ "name": name, "scopes": ["account:read"], "expires_at": world.in_days(1) });
        let answer = client.post("/api/api-keys", body).await.expect_problem(400, "validation_failed");
        assert_eq!(answer.at("/errors/0/field"), "name", "{name:?}");
    }
}

#[tokio::test]
async fn an_account_has_fifty_keys_at_most() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    for _ in 0..50 {
        client.make_key(&["account:read"], &world.in_days(1)).await;
    }
    let body = json!({ "name": "ci", "scopes": ["account:read"], "expires_at": world.in_days(1) });
    client.post("/api/api-keys", body.clone()).await.expect_problem(409, "too_many_api_keys");
    world.clock.advance(TimeDelta::days(1));
    let body = json!({ "name": "ci", "scopes": ["account:read"], "expires_at": world.in_days(1),
                       "password": PASSWORD });
    client.post("/api/api-keys", body).await.expect(201);
}

#[tokio::test]
async fn what_is_no_key_of_ours_is_refused() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let long = format!("zlh_{}", "a".repeat(500));
    for key in ["zlh_", "zlh_wrong", "eyJhbGciOi", long.as_str()] {
        let answer = client.with_key(key).get("/api/me").await.expect_problem(401, "unauthenticated");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    // A cookie does not help out where a key was sent.
    let both = client.request(reqwest::Method::GET, "/api/me").bearer_auth("zlh_wrong");
    client.send(both).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_session_that_was_left_open_makes_no_key_without_the_password() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    world.clock.advance(TimeDelta::minutes(11));
    let make = |password: Option<&str>| {
        let mut body = json!({ "name": "ci", "scopes": ["account:read"], "expires_at": world.in_days(1) });
        if let Some(password) = password {
            body["password"] = json!(password);
        }
        let client = client.clone();
        async move { client.post("/api/api-keys", body).await }
    };
    make(None).await.expect_problem(403, "password_required");
    make(Some("a guess of somebody")).await.expect_problem(422, "wrong_password");
    make(Some(PASSWORD)).await.expect(201);
    assert_eq!(client.get("/api/api-keys").await.json().as_array().unwrap().len(), 1);
}
