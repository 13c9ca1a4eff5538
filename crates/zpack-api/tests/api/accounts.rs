//! Accounts: registering, signing in and out, passwords, and how sessions end.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{Arrangement, Client, PASSWORD, World};

#[tokio::test]
async fn a_new_account_is_signed_in_and_sees_itself() {
    let world = World::start().await;
    let mut client = world.anonymous();
    let body = json!({ "email": " Ada@Example.ORG ", "password": PASSWORD });
    let answer = client.post("/api/auth/register", body).await.expect(201);
    client.keep_cookie(&answer);
    let me = client.get("/api/me").await.expect(200);
    assert_eq!(me.at("/email"), "ada@example.org");
    assert_eq!(me.at("/display_name"), "ada");
    assert_eq!(me.at("/role"), "customer");
    assert_eq!(me.at("/instance_limit"), 100);
    assert!(!me.text.contains("argon2"), "{}", me.text);
}

#[tokio::test]
async fn an_address_has_one_account_however_it_is_written() {
    let world = World::start().await;
    world.customer("ada").await;
    let body = json!({ "email": "ADA@example.org", "password": PASSWORD });
    world.anonymous().post("/api/auth/register", body).await.expect_problem(409, "email_taken");
}

#[tokio::test]
async fn registration_can_be_closed() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.api.registration_open = false;
    let world = arrangement.start();
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    world.anonymous().post("/api/auth/register", body).await.expect_problem(403, "registration_closed");
}

#[tokio::test]
async fn passwords_that_are_tried_first_are_refused_with_the_field() {
    let world = World::start().await;
    for password in ["password123", "ada@example.org"] {
        let body = json!({ "email": "ada@example.org", "password": password });
        let answer =
            world.anonymous().post("/api/auth/register", body).await.expect_problem(422, "weak_password");
        assert_eq!(answer.at("/errors/0/field"), "password");
        assert!(!answer.text.contains("password123"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_bad_address_and_a_bad_length_are_told_at_once() {
    let world = World::start().await;
    for password in [String::new(), "short".to_owned(), "a b c d e f".repeat(12)] {
        let body = json!({ "email": "ada", "password": password });
        let answer = world.anonymous().post("/api/auth/register", body).await;
        let answer = answer.expect_problem(400, "validation_failed");
        let errors = answer.at("/errors").to_string();
        assert!(errors.contains("this is not an e-mail address"), "{errors}");
        assert!(errors.contains("a password has 10 to 128 characters"), "{errors}");
    }
}

#[tokio::test]
async fn what_people_cannot_see_is_not_stored_in_a_name() {
    let world = World::start().await;
    let register = async |email: &str, name: &str| {
        let body = json!({ "email": email, "password": PASSWORD, "display_name": name });
        world.anonymous().post("/api/auth/register", body).await
    };
    for name in ["a\0b", "a\nb", "a\u{202E}b", "a\u{200B}b", " a", "", &"x".repeat(49)] {
        let answer = register("ada@example.org", name).await.expect_problem(400, "validation_failed");
        assert_eq!(answer.at("/errors/0/field"), "display_name", "{name:?}");
    }
    for email in ["a\0@example.org", "a\u{200B}@example.org"] {
        let answer = register(email, "Ada").await.expect_problem(400, "validation_failed");
        assert_eq!(answer.at("/errors/0/field"), "email", "{email:?}");
    }
    register("ada@example.org", "Ada Ünal").await.expect(201);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_get_the_same_answer() {
    let world = World::start().await;
    world.customer("ada").await;
    let mut client = world.anonymous();
    let wrong =
        client.log_in("ada@example.org", "not her password").await.expect_problem(401, "wrong_credentials");
    let unknown =
        client.log_in("bob@example.org", "not her password").await.expect_problem(401, "wrong_credentials");
    assert_eq!(wrong.at("/detail"), unknown.at("/detail"));
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let world = World::start().await;
    world.customer("ada").await;
    let answer = world.anonymous().log_in("ada@example.org", PASSWORD).await.expect(200);
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("zlh_session="), "{cookie}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=7776000"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    assert!(!cookie.contains("Secure"), "http://127.0.0.1 has no TLS: {cookie}");
}

#[tokio::test]
async fn on_https_the_cookie_is_bound_to_the_host() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.api.public_url = "https://panel.example.org".to_owned();
    let world = arrangement.start();
    let client = world.customer("ada").await;
    assert!(client.cookie.as_ref().unwrap().starts_with("__Host-zlh_session="));
    let answer = client.get("/api/me").await.expect(200);
    assert!(answer.header("strict-transport-security").contains("max-age"));
    let answer = world.anonymous().log_in("ada@example.org", PASSWORD).await;
    assert!(answer.header("set-cookie").contains("; Secure"));
}

#[tokio::test]
async fn signing_in_again_ends_the_session_that_the_browser_had() {
    let world = World::start().await;
    let mut client = world.customer("ada").await;
    let before = client.clone();
    client.log_in("ada@example.org", PASSWORD).await.expect(200);
    assert_ne!(client.cookie, before.cookie);
    client.get("/api/me").await.expect(200);
    before.get("/api/me").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_planted_token_is_never_adopted() {
    let world = World::start().await;
    world.customer("ada").await;
    let mut victim = world.anonymous();
    victim.cookie = Some("zlh_session=planted-by-somebody-else".to_owned());
    let planted = victim.clone();
    victim.log_in("ada@example.org", PASSWORD).await.expect(200);
    assert_ne!(victim.cookie, planted.cookie);
    planted.get("/api/me").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_clears_the_cookie() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let answer = client.post("/api/auth/logout", json!({})).await.expect(204);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    client.get("/api/me").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn changing_the_password_ends_every_other_session_and_renews_this_one() {
    let world = World::start().await;
    let mut here = world.customer("ada").await;
    let mut elsewhere = world.anonymous();
    elsewhere.log_in("ada@example.org", PASSWORD).await.expect(200);
    let before = here.clone();
    let key = here.make_key(&["account:read"], &world.in_days(1)).await;

    let body = json!({ "current_password": PASSWORD, "new_password": "another unusual phrase" });
    let answer = here.post("/api/me/password", body).await.expect(204);
    here.keep_cookie(&answer);

    here.get("/api/me").await.expect(200);
    before.get("/api/me").await.expect_problem(401, "unauthenticated");
    elsewhere.get("/api/me").await.expect_problem(401, "unauthenticated");
    key.get("/api/me").await.expect_problem(401, "unauthenticated");
    let mut client = world.anonymous();
    client.log_in("ada@example.org", PASSWORD).await.expect_problem(401, "wrong_credentials");
    client.log_in("ada@example.org", "another unusual phrase").await.expect(200);

    // Unless the person says that the keys are to stay.
    let key = client.make_key(&["account:read"], &world.in_days(1)).await;
    let body = json!({ "current_password": "another unusual phrase", "new_password": "one more unusual phrase",
                       "revoke_api_keys": false });
    client.post("/api/me/password", body).await.expect(204);
    key.get("/api/me").await.expect(200);
}

#[tokio::test]
async fn an_open_session_is_not_enough_to_change_the_password() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let body = json!({ "current_password": "a guess of somebody", "new_password": "another unusual phrase" });
    let answer = client.post("/api/me/password", body).await.expect_problem(422, "wrong_password");
    assert_eq!(answer.at("/errors/0/field"), "current_password");
    assert_eq!(answer.header("www-authenticate"), "", "the session goes on");
    for (new, status, code) in [("password123", 422, "weak_password"), ("short", 400, "validation_failed")] {
        let body = json!({ "current_password": PASSWORD, "new_password": new });
        let answer = client.post("/api/me/password", body).await.expect_problem(status, code);
        assert_eq!(answer.at("/errors/0/field"), "new_password");
    }
    client.get("/api/me").await.expect(200);
}

#[tokio::test]
async fn a_session_ends_after_two_weeks_without_use_and_after_ninety_days_of_use() {
    let world = World::start().await;
    let (idle, used) = (world.customer("idle").await, world.customer("used").await);
    for _ in 0..9 {
        used.get("/api/me").await.expect(200);
        world.clock.advance(TimeDelta::days(10) - TimeDelta::seconds(1));
    }
    idle.get("/api/me").await.expect_problem(401, "unauthenticated");
    used.get("/api/me").await.expect(200);
    world.clock.advance(TimeDelta::days(1));
    used.get("/api/me").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_disabled_account_is_refused_at_once_whatever_it_shows() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let script = client.make_key(&["account:read"], &world.in_days(1)).await;
    world.database.execute("UPDATE customers SET disabled_at = now()").await;
    client.get("/api/me").await.expect_problem(403, "account_disabled");
    script.get("/api/me").await.expect_problem(403, "account_disabled");
    world.anonymous().log_in("ada@example.org", PASSWORD).await.expect_problem(403, "account_disabled");
    // Only who knows the password learns that the account is disabled.
    let answer = world.anonymous().log_in("ada@example.org", "not her password").await;
    answer.expect_problem(401, "wrong_credentials");
}

#[tokio::test]
async fn an_old_hash_is_replaced_at_the_next_login() {
    let world = World::start().await;
    world.customer("ada").await;
    // The same password with the parameters of long ago: m = 64 KiB, t = 1.
    let old = old_hash(PASSWORD);
    world.database.execute(&format!("UPDATE customers SET password_hash = '{old}'")).await;
    world.anonymous().log_in("ada@example.org", PASSWORD).await.expect(200);
    let renewed =
        "SELECT count(*) FROM customers WHERE password_hash LIKE '$argon2id$v=19$m=47104,t=1,p=1$%'";
    assert_eq!(world.database.count(renewed).await, 1);
    world.anonymous().log_in("ada@example.org", PASSWORD).await.expect(200);
}

fn old_hash(password: &str) -> String {
    use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher as _};
    let params = Params::new(64, 1, 1, None).unwrap();
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(password.as_bytes());
    hash.unwrap().to_string()
}

#[tokio::test]
async fn nothing_that_would_let_anybody_in_is_stored_as_it_is() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let token = client.cookie.as_ref().unwrap().split_once('=').unwrap().1;
    let sessions = format!("SELECT count(*) FROM sessions WHERE sessions::text LIKE '%{token}%'");
    assert_eq!(world.database.count(&sessions).await, 0);
    assert_eq!(world.database.count("SELECT count(*) FROM sessions WHERE length(token_hash) = 32").await, 1);
    assert_eq!(
        world.database.count("SELECT count(*) FROM audit_log WHERE audit_log::text LIKE '%phrase%'").await,
        0
    );
}

#[tokio::test]
async fn an_account_has_fifty_sessions_at_most() {
    let world = World::start().await;
    let first = world.customer("ada").await;
    world
        .database
        .execute(
            "INSERT INTO sessions (id, customer_id, token_hash, created_at, last_seen_at, expires_at)
             SELECT gen_random_uuid(), c.id, sha256(n::text::bytea), s.created_at,
                    s.last_seen_at + interval '1 second', s.expires_at
             FROM customers c, sessions s, generate_series(1, 60) n",
        )
        .await;
    Client::anonymous(&world.base).log_in("ada@example.org", PASSWORD).await.expect(200);
    assert_eq!(world.database.count("SELECT count(*) FROM sessions").await, 50);
    first.get("/api/me").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn sessions_are_seen_and_ended_by_their_owner() {
    let world = World::start().await;
    let here = world.customer("ada").await;
    let mut there = world.anonymous();
    there.log_in("ada@example.org", PASSWORD).await.expect(200);
    let sessions = here.get("/api/sessions").await.expect(200).json();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|it| it["current"] == false).unwrap();
    let path = format!("/api/sessions/{}", other["id"].as_str().unwrap());
    world.customer("eve").await.delete(&path).await.expect_problem(404, "not_found");
    here.delete(&path).await.expect(204);
    there.get("/api/me").await.expect_problem(401, "unauthenticated");
    here.delete(&path).await.expect_problem(404, "not_found");
    here.get("/api/me").await.expect(200);
}
