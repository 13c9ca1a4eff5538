//! Who may open a console, how many may be open, and what ends one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Arrangement, Client, PASSWORD, Socket, World, order};

/// What the product promises when a right ends.
const WITHIN: Duration = Duration::from_secs(5);

async fn with_server(arrangement: Arrangement) -> (World, Client, String) {
    let world = arrangement.start();
    world.node("one", 4).await;
    let ada = world.customer("ada").await;
    let id = world.active_instance(&ada, "Mine").await;
    (world, ada, id)
}

async fn usual() -> (World, Client, String) {
    with_server(Arrangement::usual().await).await
}

const HOLD: &str = "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
                    SELECT gen_random_uuid(), id, 'billing', 'An invoice is open.', 'test', now() FROM instances";

#[tokio::test]
async fn a_session_opens_a_console_from_our_own_origin_only() {
    let (world, ada, id) = usual().await;
    let ours = world.app.public_url.origin().to_owned();
    for headers in [
        vec![],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "same-origin")],
        vec![("origin", "http://127.0.0.1:8080.evil.example")],
    ] {
        let refused = Socket::try_open(&ada, &id, &headers).await.err().expect("a refusal");
        assert_eq!((refused.status, refused.code.as_str()), (403, "csrf_rejected"), "{headers:?}");
    }
    assert!(Socket::try_open(&ada, &id, &[("origin", &ours)]).await.is_ok());
    // A key is not sent by browsers on their own.
    let key = ada.make_key(&["instances:console"], &world.in_days(1)).await;
    assert!(Socket::try_open(&key, &id, &[]).await.is_ok());
}

#[tokio::test]
async fn who_may_not_see_a_console_gets_no_socket() {
    let (world, ada, id) = usual().await;
    let mallory = world.customer("mallory").await;
    let reader = ada.make_key(&["instances:read"], &world.in_days(1)).await;
    let origin = [("origin", world.app.public_url.origin())];
    for (client, status, code) in [
        (&world.anonymous(), 401, "unauthenticated"),
        (&mallory, 404, "not_found"),
        (&reader, 403, "scope_missing"),
    ] {
        let refused = Socket::try_open(client, &id, &origin).await.err().expect("a refusal");
        assert_eq!((refused.status, refused.code.as_str()), (status, code));
    }
    ada.get(&format!("/api/instances/{id}/console")).await.expect_problem(426, "upgrade_required");
}

#[tokio::test]
async fn signing_out_ends_the_sockets_of_that_session() {
    let (world, ada, id) = usual().await;
    let mut other = world.anonymous();
    other.log_in("ada@example.org", PASSWORD).await.expect(200);
    let mut ends = Socket::resume(&ada, &id, None).await;
    let mut stays = Socket::resume(&other, &id, None).await;
    ada.post("/api/auth/logout", json!({})).await.expect(204);
    let began = Instant::now();
    let (code, last) = ends.closed().await;
    assert_eq!((code, &last["code"]), (4401, &json!("session_ended")));
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    stays.say(json!({ "type": "ping" })).await;
    stays.find("pong").await;
}

#[tokio::test]
async fn a_revoked_key_a_hold_and_a_deletion_end_sockets_in_time() {
    let (world, ada, id) = usual().await;
    let key = ada.make_key(&["instances:console"], &world.in_days(1)).await;
    let mut of_key = Socket::resume(&key, &id, None).await;
    let key_id = ada.get("/api/api-keys").await.at("/0/id");
    ada.delete(&format!("/api/api-keys/{}", key_id.as_str().unwrap())).await.expect(204);
    let began = Instant::now();
    assert_eq!(of_key.closed().await.0, 4401);

    let mut held = Socket::resume(&ada, &id, None).await;
    world.database.execute(HOLD).await;
    let (code, last) = held.closed().await;
    assert_eq!((code, &last["code"]), (4423, &json!("instance_on_hold")));
    let (code, _) = Socket::open(&ada, &id).await.closed().await;
    assert_eq!(code, 4423, "and none is opened meanwhile");
    let command = json!({ "command": "x" });
    let refused = ada.post(&format!("/api/instances/{id}/console/commands"), command).await;
    refused.expect_problem(409, "instance_on_hold");
    world.database.execute("UPDATE holds SET lifted_at = now()").await;

    let mut deleted = Socket::resume(&ada, &id, None).await;
    ada.delete(&format!("/api/instances/{id}")).await.expect(202);
    assert_eq!(deleted.closed().await.0, 4404);
    assert!(began.elapsed() < WITHIN * 3, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_disabled_account_has_no_console() {
    let (world, ada, id) = usual().await;
    let mut socket = Socket::resume(&ada, &id, None).await;
    world.database.execute("UPDATE customers SET disabled_at = now()").await;
    assert_eq!(socket.closed().await.0, 4401);
    let origin = [("origin", world.app.public_url.origin())];
    let refused = Socket::try_open(&ada, &id, &origin).await.err().expect("a refusal");
    assert_eq!((refused.status, refused.code.as_str()), (403, "account_disabled"));
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_has_no_console() {
    let (_world, ada, _) = usual().await;
    let made = ada.create("k", &order("Other")).await.expect(202);
    let id = made.at("/instance/id").as_str().unwrap().to_owned();
    let (code, last) = Socket::open(&ada, &id).await.closed().await;
    assert_eq!((code, &last["code"], &last["fatal"]), (4404, &json!("instance_not_active"), &json!(true)));
    let path = format!("/api/instances/{id}/console");
    let command = ada.post(&format!("{path}/commands"), json!({ "command": "x" })).await;
    command.expect_problem(409, "instance_not_active");
    ada.get(&format!("{path}/history")).await.expect_problem(409, "instance_not_active");
}

#[tokio::test]
async fn a_server_and_an_account_have_a_few_sockets_and_a_closed_one_makes_room() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.console.sockets_per_instance = 2;
    arrangement.config.console.sockets_per_customer = 3;
    let (world, ada, id) = with_server(arrangement).await;
    let second = world.active_instance(&ada, "Second").await;
    let first = Socket::resume(&ada, &id, None).await;
    let _one = Socket::resume(&ada, &id, None).await;
    let (code, last) = Socket::open(&ada, &id).await.closed().await;
    assert_eq!((code, &last["code"]), (4429, &json!("too_many_sockets")));
    let _two = Socket::resume(&ada, &second, None).await;
    assert_eq!(Socket::open(&ada, &second).await.closed().await.0, 4429, "of the account");
    drop(first);
    World::eventually("there is room again", async || {
        Socket::open(&ada, &id).await.message().await["type"] == "hello"
    })
    .await;
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_socket_with_a_reason() {
    let (_world, ada, id) = usual().await;
    let text = |value: Value| Message::text(value.to_string());
    let cases = [
        ("input before resume", vec![text(json!({ "type": "input", "text": "x" }))], 4400),
        ("no JSON", vec![Message::text("hello")], 4400),
        ("unknown type", vec![text(json!({ "type": "shout" }))], 4400),
        ("binary", vec![Message::binary(vec![1, 2, 3])], 4400),
        ("resume twice", vec![text(json!({ "type": "resume" })), text(json!({ "type": "resume" }))], 4400),
        ("too big", vec![text(json!({ "type": "resume" })), Message::text("x".repeat(40_000))], 1009),
    ];
    for (name, messages, code) in cases {
        let mut socket = Socket::open(&ada, &id).await;
        assert_eq!(socket.message().await["type"], "hello");
        for message in messages {
            socket.send(message).await;
        }
        let (closed, last) = socket.closed().await;
        assert_eq!((closed, &last["fatal"]), (code, &json!(true)), "{name}: {last}");
    }
}

#[tokio::test]
async fn who_does_not_say_where_to_begin_is_not_waited_for() {
    let (_world, ada, id) = usual().await;
    let mut socket = Socket::open(&ada, &id).await;
    assert_eq!(socket.closed().await.0, 4408);
}

#[tokio::test]
async fn an_api_that_ends_tells_clients_to_come_back() {
    let (world, ada, id) = usual().await;
    let mut socket = Socket::resume(&ada, &id, None).await;
    let consoles = world.app.consoles.clone();
    let closing = tokio::spawn(async move { consoles.close().await });
    let (code, last) = socket.closed().await;
    assert_eq!((code, &last["code"]), (1012, &json!("restart")));
    closing.await.unwrap();
    assert_eq!(Socket::open(&ada, &id).await.closed().await.0, 1012, "none is opened afterwards");
}
