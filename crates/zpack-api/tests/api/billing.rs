//! Stripe's events as they come in, what an open payment blocks, and what operators may say about it.

use axum::http::Method;
use chrono::TimeDelta;
use integrations::stripe::sign;
use runtime::clock::Clock as _;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{Answer, Arrangement, Client, World, order};

const SECRET: &str = "whsec_new";
const FORMER: &str = "whsec_former";

async fn world() -> World {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.billing.webhook_secret = SECRET.into();
    arrangement.config.billing.previous_webhook_secret = FORMER.into();
    arrangement.config.stripe.secret_key = "sk_test_1".into();
    // Nothing answers there.
    arrangement.config.stripe.url = "http://127.0.0.1:9".into();
    arrangement.start()
}

/// As Stripe writes it.
fn body(event: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(event).unwrap()
}

fn event(id: &str) -> Value {
    json!({ "id": id, "object": "event", "type": "invoice.paid", "api_version": "2026-09-30.endive", "created": 1_800_000_000,
        "livemode": false, "data": { "object": { "id": "in_1", "object": "invoice", "customer": "cus_1" } } })
}

async fn deliver(world: &World, body: Vec<u8>, signature: Option<&str>) -> Answer {
    let client = world.anonymous();
    let request = client.request(Method::POST, "/webhooks/stripe").body(body);
    client
        .send(match signature {
            Some(signature) => request.header("stripe-signature", signature),
            None => request,
        })
        .await
}

/// Signed so many seconds ago.
async fn signed(world: &World, body: Vec<u8>, secret: &str, ago: i64) -> Answer {
    let at = world.clock.now() - TimeDelta::seconds(ago);
    let signature = sign(&body, &SecretString::from(secret), at);
    deliver(world, body, Some(&signature)).await
}

#[tokio::test]
async fn an_event_is_believed_by_its_signature_its_time_and_nothing_else() {
    let world = world().await;
    for (ago, status) in [(299, 200), (-299, 200), (301, 400), (-301, 400), (3_600, 400)] {
        let answer = signed(&world, body(&event(&format!("evt_{ago}"))), SECRET, ago).await;
        assert_eq!(answer.status.as_u16(), status, "{ago}: {}", answer.text);
    }
    signed(&world, body(&event("evt_a")), FORMER, 0).await.expect(200);
    signed(&world, body(&event("evt_b")), "whsec_other", 0).await.expect_problem(400, "signature_mismatch");
    signed(&world, body(&event("evt_c")), SECRET, 301).await.expect_problem(400, "signature_out_of_time");
    deliver(&world, body(&event("evt_d")), None).await.expect_problem(400, "signature_missing");
    deliver(&world, body(&event("evt_e")), Some("t=,v1=")).await.expect_problem(400, "signature_missing");
    // A proxy that writes the JSON anew.
    let signature = sign(&body(&event("evt_f")), &SecretString::from(SECRET), world.clock.now());
    let minified = serde_json::to_vec(&event("evt_f")).unwrap();
    deliver(&world, minified, Some(&signature)).await.expect_problem(400, "signature_mismatch");
    let kept = "SELECT string_agg(id, ' ' ORDER BY id) FROM stripe_events";
    assert_eq!(world.database.text(kept).await, "evt_-299 evt_299 evt_a");
    let off = World::start().await;
    signed(&off, body(&event("evt_g")), "", 0).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_well_signed_is_never_refused_whatever_it_says() {
    let world = world().await;
    let bodies = [
        b"not json".to_vec(),
        b"[1, 2]".to_vec(),
        body(&json!({ "no": "id" })),
        body(&json!({ "id": "evt_1", "type": "hologram.projected", "api_version": "2031-01-01.zebra" })),
        body(
            &json!({ "id": "evt_2", "type": "invoice.paid", "data": { "object": { "id": "in_2", "subscription": "sub_1" } } }),
        ),
        body(&json!({ "id": "evt_3", "type": "x", "data": { "object": { "text": "a\u{0}b" } } })),
        // Spacing of its own that was signed.
        br#"{ "id" :"evt_4","type":  "x" }"#.to_vec(),
    ];
    for body in bodies {
        let answer = signed(&world, body.clone(), SECRET, 0).await;
        assert_eq!(answer.status.as_u16(), 200, "{}: {}", String::from_utf8_lossy(&body), answer.text);
    }
    assert_eq!(world.database.count("SELECT count(*) FROM stripe_events").await, 4);
    assert_eq!(world.database.count("SELECT count(*) FROM billing_tasks WHERE action = 'sync'").await, 4);
    // Real money and another account's events are kept, and nothing follows.
    let live = json!({ "id": "evt_live", "type": "x", "livemode": true });
    let connected = json!({ "id": "evt_account", "type": "x", "account": "acct_1" });
    for it in [live, connected] {
        signed(&world, body(&it), SECRET, 0).await.expect(200);
    }
    assert_eq!(world.database.count("SELECT count(*) FROM stripe_events WHERE outcome = 'ignored'").await, 2);
}

#[tokio::test]
async fn a_large_event_is_taken_and_one_beyond_a_mebibyte_is_not() {
    let world = world().await;
    let with = |bytes: usize| body(&json!({ "id": "evt_1", "text": "x".repeat(bytes) }));
    signed(&world, with(1_000_000), SECRET, 0).await.expect(200);
    signed(&world, with(1_100_000), SECRET, 0).await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn a_hundred_deliveries_of_one_event_are_one() {
    let world = world().await;
    let deliveries = (0..60).map(|_| signed(&world, body(&event("evt_1")), SECRET, 0));
    for answer in futures_util::future::join_all(deliveries).await {
        answer.expect(200);
    }
    signed(&world, body(&event("evt_1")), SECRET, 0).await.expect(200);
    assert_eq!(world.database.count("SELECT count(*) FROM stripe_events").await, 1);
    assert_eq!(world.database.count("SELECT count(*) FROM billing_tasks").await, 1);
}

async fn set_stage(world: &World, stage: &str) {
    let sql = format!(
        "INSERT INTO billing_enforcement_states (customer_id, stage) SELECT id, '{stage}' FROM customers
         ON CONFLICT (customer_id) DO UPDATE SET stage = excluded.stage"
    );
    world.database.execute(&sql).await;
}

/// What each operation that is gated is blocked by.
const GATED: &[(&str, &str, &str)] = &[
    ("POST", "/api/instances", "new_instances"),
    ("POST", "/api/instances/{id}/backups", "new_backups"),
    ("POST", "/api/instances/{id}/backups/{backup}/restore", "file_writes"),
    ("POST", "/api/instances/{id}/power", "power"),
    ("POST", "/api/instances/{id}/console/commands", "console"),
    ("POST", "/api/instances/{id}/ide/tickets", "ide"),
    ("POST", "/api/instances/{id}/files/jobs", "file_writes"),
    ("POST", "/api/instances/{id}/files/uploads", "file_writes"),
    ("PUT", "/api/instances/{id}/files/content?path=a", "file_writes"),
];

async fn try_each(client: &Client, instance: &str) -> Vec<(&'static str, Answer)> {
    let mut answers = Vec::new();
    for (method, path, gate) in GATED {
        let path = path.replace("{id}", instance).replace("{backup}", instance);
        let request = client.request(method.parse().unwrap(), &path).json(&json!({}));
        answers.push((*gate, client.send(request).await));
    }
    answers
}

#[tokio::test]
async fn each_stage_blocks_what_it_says_for_people_and_for_keys_and_nothing_else() {
    let world = World::start().await;
    world.node("one", 10).await;
    let ada = world.customer("ada").await;
    let instance = world.active_instance(&ada, "Alpha").await;
    let idle = world.active_instance(&ada, "Beta").await;
    let scopes = [
        "instances:read",
        "instances:write",
        "instances:power",
        "instances:console",
        "files:write",
        "backups",
    ];
    let script = ada.make_key(&scopes, &world.in_days(1)).await;
    for (stage, blocked) in [
        ("payment_failed", vec![]),
        ("final_warning", vec!["new_instances", "new_backups"]),
        ("suspended", vec!["new_instances", "new_backups", "file_writes", "power", "console", "ide"]),
        ("restored", vec![]),
    ] {
        set_stage(&world, stage).await;
        for client in [&ada, &script] {
            for (gate, answer) in try_each(client, &instance).await {
                if blocked.contains(&gate) && answer.code() != "session_required" {
                    let answer = answer.expect_problem(402, "payment_open");
                    let payment = answer.at("/payment");
                    assert_eq!(
                        payment,
                        json!({ "stage": stage, "gate": gate, "pay": "/billing" }),
                        "{stage} {gate}"
                    );
                } else {
                    assert_ne!(answer.code(), "payment_open", "{stage} {gate}: {}", answer.text);
                }
            }
        }
        // Reading and downloading, deleting and paying stay open.
        for path in ["/api/instances", "/api/operations", "/api/billing", "/api/me", "/api/catalogue/plans"] {
            ada.get(path).await.expect(200);
        }
        ada.get(&format!("/api/instances/{instance}/backups")).await.expect(200);
        ada.get(&format!("/api/instances/{instance}/files?path=")).await.expect(200);
        let shown = ada.get("/api/billing").await;
        assert_eq!(shown.at("/stage"), stage);
    }
    set_stage(&world, "suspended").await;
    ada.delete(&format!("/api/instances/{idle}")).await.expect(202);
}

#[tokio::test]
async fn a_server_needs_a_subscription_or_a_grant_and_an_operator_can_give_one() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.billing.free_instances = 0;
    let world = arrangement.start();
    world.node("one", 10).await;
    let (ada, operator) = (world.customer("ada").await, world.operator().await);
    ada.create("k1", &order("Mine")).await.expect_problem(402, "subscription_required");
    let id = ada.get("/api/me").await.at("/id").as_str().unwrap().to_owned();
    let grants = format!("/api/operator/billing/{id}/grants");
    let grant = json!({ "plan": "small", "quantity": 1, "reason": "A tester." });
    ada.post(&grants, grant.clone()).await.expect_problem(403, "operator_only");
    operator
        .post(&grants, json!({ "plan": "huge", "quantity": 1, "reason": "A tester." }))
        .await
        .expect_problem(422, "unknown_plan");
    let made = operator.post(&grants, grant).await.expect(200);
    ada.create("k2", &order("Mine")).await.expect(202);
    ada.create("k3", &order("Another")).await.expect_problem(402, "subscription_required");
    let shown = ada.get("/api/billing").await.expect(200);
    assert_eq!(shown.at("/used"), json!([{ "plan": "small", "quantity": 1 }]));
    let grant = made.at("/billing/grants/0/id");
    let revoke = format!("{grants}/{}/revoke", grant.as_str().unwrap());
    operator.post(&revoke, json!({ "reason": "Over." })).await.expect(200);
    operator.post(&revoke, json!({ "reason": "Over." })).await.expect(404);
    assert_eq!(ada.get("/api/billing").await.at("/grants"), json!([]));
    let history = operator.get(&format!("/api/operator/billing/{id}")).await.expect(200).at("/history");
    let kinds: Vec<_> = history.as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["revoked", "granted"]);
}

#[tokio::test]
async fn operators_give_time_and_exempt_and_nobody_has_billing_destroy_anything() {
    let world = world().await;
    let (ada, operator) = (world.customer("ada").await, world.operator().await);
    let id = ada.get("/api/me").await.at("/id").as_str().unwrap().to_owned();
    let of = |what: &str| format!("/api/operator/billing/{id}/{what}");
    let until = json!({ "until": world.in_days(7), "reason": "Called, pays on Friday." });
    let extended = operator.post(&of("extension"), until).await.expect(200);
    assert!(extended.at("/billing/extended_until").is_string());
    operator
        .post(&of("extension"), json!({ "until": world.in_days(9_999), "reason": "For ever." }))
        .await
        .expect_problem(400, "validation_failed");
    operator.post(&of("exemption"), json!({ "exempt": true, "reason": "Ours." })).await.expect(200);
    let listed = operator.get("/api/operator/billing").await.expect(200);
    assert_eq!(
        (listed.at("/items/0/email"), listed.at("/items/0/exempt")),
        (json!("ada@example.org"), json!(true))
    );
    for action in ["delete", "delete_instances", "suspend", "restore_backup"] {
        operator
            .post(&of("actions"), json!({ "action": action }))
            .await
            .expect_problem(422, "billing_action_refused");
    }
    operator.post(&of("actions"), json!({ "action": "sync" })).await.expect(202);
    let history = operator.get(&format!("/api/operator/billing/{id}")).await.at("/history");
    let rejected = history.as_array().unwrap().iter().filter(|it| it["kind"] == "rejected").count();
    assert_eq!(rejected, 4);
    // Stripe is away: nothing was bought, and the purchase can be gone on with.
    let want = json!({ "items": [{ "plan": "small", "quantity": 1 }] });
    ada.post("/api/billing/checkout", want).await.expect_problem(422, "plan_not_sold");
    ada.post("/api/billing/portal", json!({})).await.expect_problem(409, "not_subscribed");
}
