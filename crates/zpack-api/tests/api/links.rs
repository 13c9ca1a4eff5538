//! Links that are mailed: a new password for whoever forgot theirs, and the verification of an address.

use chrono::{DateTime, Utc};
use domain::mail::{Envelope, Mail, SecurityEvent};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, PASSWORD, World};

const ANOTHER: &str = "another unusual phrase";

/// The mails to an address that wait in the outbox, oldest first.
async fn mails(world: &World, to: &str) -> Vec<Mail> {
    let sql = format!(
        "SELECT COALESCE(json_agg(payload ORDER BY id), '[]')::text FROM notifications
         WHERE channel = 'mail' AND recipient = '{to}'"
    );
    let payloads: Vec<Value> = serde_json::from_str(&world.database.text(&sql).await).unwrap();
    payloads.into_iter().map(|it| serde_json::from_value::<Envelope>(it).unwrap().mail).collect()
}

/// The token of the newest link for a new password.
async fn reset_token(world: &World, to: &str) -> String {
    let mut tokens = mails(world, to).await.into_iter().filter_map(|mail| match mail {
        Mail::PasswordReset { token, .. } => Some(token.expose().to_owned()),
        _ => None,
    });
    tokens.next_back().expect("a link")
}

async fn verification_token(world: &World, to: &str) -> String {
    let mut tokens = mails(world, to).await.into_iter().filter_map(|mail| match mail {
        Mail::VerifyEmail { token, .. } => Some(token.expose().to_owned()),
        _ => None,
    });
    tokens.next_back().expect("a link")
}

async fn forget(client: &Client, email: &str) -> Answer {
    client.post("/api/password/reset-requests", json!({ "email": email })).await
}

async fn reset(world: &World, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    world.anonymous().post("/api/password/resets", body).await
}

#[tokio::test]
async fn who_asks_for_a_new_password_learns_nothing_of_who_has_an_account() {
    let world = World::start().await;
    for name in ["ada", "bob"] {
        world.customer(name).await;
    }
    world.database.execute("UPDATE customers SET disabled_at = now() WHERE email LIKE 'bob@%'").await;
    let mut seen = Vec::new();
    for email in ["ada@example.org", " ADA@Example.org", "bob@example.org", "nobody@example.org"] {
        let mut answer = forget(&world.anonymous(), email).await.expect(202);
        for differs in ["x-request-id", "date"] {
            answer.headers.remove(differs);
        }
        seen.push((answer.status, answer.headers, answer.text));
    }
    assert!(seen.iter().all(|it| *it == seen[0]), "{seen:?}");
    let links = async |to| {
        let mails = mails(&world, to).await;
        mails.iter().filter(|mail| matches!(mail, Mail::PasswordReset { .. })).count()
    };
    assert_eq!(links("ada@example.org").await, 2);
    assert_eq!((links("bob@example.org").await, links("nobody@example.org").await), (0, 0));
    for _ in 0..4 {
        forget(&world.anonymous(), "nobody@example.org").await.expect(202);
    }
    forget(&world.anonymous(), "nobody@example.org").await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn no_header_of_a_request_gets_into_a_mail() {
    let world = World::start().await;
    world.customer("ada").await;
    let client = world.anonymous();
    let mut request = client
        .request(Method::POST, "/api/password/reset-requests")
        .json(&json!({ "email": "ada@example.org" }));
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "gopher"),
        ("forwarded", "host=evil.example"),
        ("referer", "https://evil.example/"),
    ] {
        request = request.header(name, value);
    }
    client.send(request).await.expect(202);
    // The mail's writer has the token and the configured address, and nothing else.
    let payloads =
        "SELECT string_agg(payload::text, ' ') FROM notifications WHERE template = 'password_reset'";
    let payload = world.database.text(payloads).await;
    assert!(payload.contains("ada@example.org") && !payload.contains("evil"), "{payload}");
    // Another site's page cannot even ask.
    let request =
        client.request(Method::POST, "/api/password/reset-requests").header("origin", "https://evil.example");
    client
        .send(request.json(&json!({ "email": "ada@example.org" })))
        .await
        .expect_problem(403, "csrf_rejected");
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_keeps_keys_and_tells_the_owner() {
    let world = World::start().await;
    let ada = world.customer("ada").await;
    let key = ada.make_key(&["account:read"], &world.in_days(1)).await;
    let mut elsewhere = world.anonymous();
    elsewhere.log_in("ada@example.org", PASSWORD).await.expect(200);
    forget(&world.anonymous(), "ada@example.org").await.expect(202);
    let token = reset_token(&world, "ada@example.org").await;
    reset(&world, &token, "password123").await.expect_problem(422, "weak_password");
    reset(&world, &token, "ada@example.org").await.expect_problem(422, "weak_password");
    reset(&world, &token, "short").await.expect_problem(400, "validation_failed");
    reset(&world, &token, ANOTHER).await.expect(204);

    for client in [&ada, &elsewhere] {
        client.get("/api/me").await.expect_problem(401, "unauthenticated");
    }
    key.get("/api/me").await.expect(200);
    world.anonymous().log_in("ada@example.org", PASSWORD).await.expect_problem(401, "wrong_credentials");
    world.anonymous().log_in("ada@example.org", ANOTHER).await.expect(200);
    reset(&world, &token, "a third unusual phrase").await.expect_problem(404, "link_invalid");

    let mails = mails(&world, "ada@example.org").await;
    let Some(Mail::SecurityNotice { event, from, api_keys, .. }) = mails.last() else { panic!("{mails:?}") };
    assert_eq!(
        (*event, from.as_deref(), api_keys.as_slice()),
        (SecurityEvent::PasswordReset, Some("127.0.0.1"), &["test".to_owned()][..])
    );
    let audit = "SELECT count(*) FROM audit_log WHERE action = 'customer.password_reset'";
    assert_eq!(world.database.count(audit).await, 1);
}

#[tokio::test]
async fn keys_are_revoked_with_the_password_if_that_is_asked_for() {
    let world = World::start().await;
    let ada = world.customer("ada").await;
    let key = ada.make_key(&["account:read"], &world.in_days(1)).await;
    forget(&world.anonymous(), "ada@example.org").await.expect(202);
    let token = reset_token(&world, "ada@example.org").await;
    let body = json!({ "token": token, "password": ANOTHER, "revoke_keys": true });
    world.anonymous().post("/api/password/resets", body).await.expect(204);
    key.get("/api/me").await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_link_is_for_its_own_account_and_its_own_purpose() {
    let world = World::start().await;
    for name in ["ada", "bob"] {
        world.customer(name).await;
        forget(&world.anonymous(), &format!("{name}@example.org")).await.expect(202);
    }
    let verification = verification_token(&world, "ada@example.org").await;
    for token in ["", "x", "ä", verification.as_str(), &"x".repeat(500)] {
        reset(&world, token, ANOTHER).await.expect_problem(404, "link_invalid");
    }
    reset(&world, &reset_token(&world, "bob@example.org").await, ANOTHER).await.expect(204);
    world.anonymous().log_in("ada@example.org", PASSWORD).await.expect(200);
    world.anonymous().log_in("ada@example.org", ANOTHER).await.expect_problem(401, "wrong_credentials");
}

#[tokio::test]
async fn a_new_account_is_asked_by_mail_whether_its_address_is_its_owners() {
    let world = World::start().await;
    let ada = world.customer("ada").await;
    assert_eq!(ada.get("/api/me").await.at("/email_verified_at"), Value::Null);
    let first = verification_token(&world, "ada@example.org").await;
    ada.post("/api/email/verification-requests", json!({})).await.expect(202);
    let second = verification_token(&world, "ada@example.org").await;
    let verify = async |token: &str| {
        world.anonymous().post("/api/email/verifications", json!({ "token": token })).await
    };
    verify(&first).await.expect_problem(404, "link_invalid");
    // What machines do that follow links.
    for method in [Method::GET, Method::HEAD] {
        for path in ["/verify", "/reset", "/api/email/verifications"] {
            let client = world.anonymous();
            client.send(client.request(method.clone(), path)).await;
        }
    }
    verify(&second).await.expect(204);
    verify(&second).await.expect_problem(404, "link_invalid");
    let verified = ada.get("/api/me").await.at("/email_verified_at");
    verified.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    ada.post("/api/email/verification-requests", json!({})).await.expect_problem(409, "email_verified");
}
