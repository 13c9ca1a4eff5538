//! Bounds on guessing, on a clock that the tests move.

use std::num::NonZeroU32;

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{Answer, Arrangement, PASSWORD, World};

async fn world(change: impl FnOnce(&mut zpack_api::config::ApiConfig)) -> World {
    let mut arrangement = Arrangement::usual().await;
    change(&mut arrangement.config);
    arrangement.start()
}

async fn guess(world: &World, email: &str, from: &str) -> Answer {
    let client = world.anonymous();
    let body = json!({ "email": email, "password": "a guess of somebody" });
    let request = client.request(reqwest::Method::POST, "/api/auth/login").json(&body);
    client.send(request.header("x-forwarded-for", from)).await
}

#[tokio::test]
async fn a_strangers_guesses_are_counted_and_do_not_keep_the_owner_out() {
    let world = world(|config| config.api.trusted_proxies = vec!["127.0.0.1".to_owned()]).await;
    world.customer("ada").await;
    for _ in 0..10 {
        guess(&world, "ada@example.org", "198.51.100.1").await.expect_problem(401, "wrong_credentials");
    }
    let refused = guess(&world, "ADA@example.org", "198.51.100.1").await.expect_problem(429, "rate_limited");
    let seconds: i64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=7).contains(&seconds), "{seconds}");
    guess(&world, "bob@example.org", "198.51.100.1").await.expect_problem(401, "wrong_credentials");
    // The owner, elsewhere, at the same moment.
    world.anonymous().log_in("ada@example.org", PASSWORD).await.expect(200);

    world.clock.advance(TimeDelta::seconds(seconds));
    guess(&world, "ada@example.org", "198.51.100.1").await.expect_problem(401, "wrong_credentials");
}

#[tokio::test]
async fn an_address_guesses_as_often_as_configured_whatever_it_claims_to_be() {
    let five = NonZeroU32::new(5).unwrap();
    let world = world(|config| config.rate_limits.login_per_minute_by_address = five).await;
    for n in 0..5 {
        // Nobody said that 127.0.0.1 is a proxy: what it forwards is its own claim.
        let answer = guess(&world, &format!("nobody{n}@example.org"), &format!("198.51.100.{n}")).await;
        answer.expect_problem(401, "wrong_credentials");
    }
    guess(&world, "nobody9@example.org", "198.51.100.9").await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn accounts_are_made_as_often_as_configured() {
    let two = NonZeroU32::new(2).unwrap();
    let world = world(|config| config.rate_limits.register_per_hour_by_address = two).await;
    world.customer("ada").await;
    world.customer("bob").await;
    let register = async |email: &str| {
        world.anonymous().post("/api/auth/register", json!({ "email": email, "password": PASSWORD })).await
    };
    register("eve@example.org").await.expect_problem(429, "rate_limited");
    world.clock.advance(TimeDelta::minutes(31));
    register("eve@example.org").await.expect(201);
}

#[tokio::test]
async fn the_present_password_cannot_be_guessed_by_changing_it() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let body = json!({ "current_password": "a guess of somebody", "new_password": "another unusual phrase" });
    for _ in 0..10 {
        client.post("/api/me/password", body.clone()).await.expect_problem(422, "wrong_password");
    }
    client.post("/api/me/password", body).await.expect_problem(429, "rate_limited");
}
