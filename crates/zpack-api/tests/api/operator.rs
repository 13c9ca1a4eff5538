//! What operators see of everybody's operations, and how a stuck one goes on.

use serde_json::json;

use crate::support::{World, order};

#[tokio::test]
async fn an_operator_sees_every_operation_with_its_journal_and_lets_a_stuck_one_go_on() {
    let world = World::start().await;
    world.node("one", 4).await;
    let (ada, operator) = (world.customer("ada").await, world.operator().await);
    let created = ada.create("survival", &order("Survival")).await.expect(202);
    let id = created.at("/operation/id").as_str().unwrap().to_owned();
    let path = format!("/api/operator/operations/{id}");

    // Not stuck: it goes on by itself.
    let reason = json!({ "reason": "the disk is mounted again" });
    let resume = format!("{path}/resume");
    operator.post(&resume, reason.clone()).await.expect_problem(409, "operation_not_stuck");

    let stuck = format!(
        "UPDATE operations SET state = 'stuck', step = 'create_container', failure_code = 'undo_failed',
             failure_message = 'Cleaning up failed.' WHERE id = '{id}';
         INSERT INTO operation_steps (operation_id, name, ordinal, state, lease_term, error, finished_at)
         VALUES ('{id}', 'create_container', 0, 'undo_failed', 1, 'engine: device or resource busy', now())"
    );
    world.database.execute(&stuck).await;
    let listed = operator.get("/api/operator/operations?state=stuck").await.expect(200);
    assert_eq!(listed.at("/items/0/id"), id.as_str());
    assert_eq!(
        operator.get("/api/operator/operations?state=failed").await.expect(200).at("/items"),
        json!([])
    );
    assert_eq!(operator.get("/api/operator/operations").await.expect(200).at("/items/0/state"), "stuck");
    let seen = operator.get(&path).await.expect(200);
    assert_eq!(seen.at("/steps/0/error"), "engine: device or resource busy");
    // Its customer sees the step, and not what only we need to know.
    let theirs = ada.get(&format!("/api/operations/{id}")).await.expect(200);
    assert!(theirs.text.contains("undo_failed") && !theirs.text.contains("resource busy"), "{}", theirs.text);

    for bad in ["", "  ", "ab", "hid\u{202e}den"] {
        operator.post(&resume, json!({ "reason": bad })).await.expect_problem(400, "validation_failed");
    }
    let resumed = operator.post(&resume, reason.clone()).await.expect(202);
    assert_eq!(resumed.at("/state"), "undoing");
    operator.post(&resume, reason.clone()).await.expect_problem(409, "operation_not_stuck");
    let audited =
        "SELECT actor || ' ' || (detail ->> 'reason') FROM audit_log WHERE action = 'operation.resume'";
    let audited = world.database.text(audited).await;
    assert!(audited.starts_with("operator:") && audited.ends_with("the disk is mounted again"), "{audited}");
    operator
        .post("/api/operator/operations/none/resume", reason.clone())
        .await
        .expect_problem(404, "not_found");
}

#[tokio::test]
async fn an_operator_finds_servers_and_customers_by_what_people_know_of_them() {
    let world = World::start().await;
    world.node("one", 4).await;
    let (ada, operator) = (world.customer("ada").await, world.operator().await);
    ada.create("k", &order("Survival")).await.expect(202);
    let instances = async |query: &str| {
        let found = operator.get(&format!("/api/operator/instances?query={query}")).await.expect(200);
        (found.json()["items"].as_array().unwrap().len(), found.at("/items/0/customer_email"))
    };
    for query in ["", "surv", "ADA@"] {
        assert_eq!(instances(query).await, (1, json!("ada@example.org")), "{query}");
    }
    assert_eq!(instances("creative").await.0, 0);
    let found = operator.get("/api/operator/instances").await.expect(200);
    assert_eq!(found.at("/items/0/node_name"), "one");
    let people = operator.get("/api/operator/customers?query=ada").await.expect(200);
    assert_eq!(people.at("/items/0/instance_count"), 1);
    assert_eq!(people.at("/items/1"), json!(null));
    ada.get("/api/operator/customers").await.expect_problem(403, "operator_only");
}

#[tokio::test]
async fn an_operator_sees_a_customers_pages_for_a_reason_and_changes_and_reads_nothing_of_their_own() {
    let world = World::start().await;
    world.node("one", 4).await;
    let (ada, operator) = (world.customer("ada").await, world.operator().await);
    let id = world.active_instance(&ada, "Survival").await;
    let customer = ada.get("/api/me").await.at("/id").as_str().unwrap().to_owned();
    let as_ada =
        |method: reqwest::Method, path: &str| operator.request(method, path).header("zlh-view-as", &customer);
    let get = async |path: &str| operator.send(as_ada(reqwest::Method::GET, path)).await;
    get("/api/instances").await.expect_problem(403, "view_not_begun");
    let view = format!("/api/operator/customers/{customer}/view");
    operator.post(&view, json!({ "reason": "" })).await.expect_problem(400, "validation_failed");
    let nobody = format!("/api/operator/customers/{id}/view");
    operator.post(&nobody, json!({ "reason": "ticket 7" })).await.expect_problem(404, "not_found");
    operator.post(&view, json!({ "reason": "ticket 7" })).await.expect(204);

    assert_eq!(get("/api/instances").await.expect(200).at("/items/0/id"), id.as_str());
    assert_eq!(get("/api/me").await.expect(200).at("/id"), customer.as_str());
    get(&format!("/api/instances/{id}/activity")).await.expect(200);
    for own in ["files", "files/content?path=x", "backups", "console/history"] {
        get(&format!("/api/instances/{id}/{own}")).await.expect_problem(403, "scope_missing");
    }
    get("/api/api-keys").await.expect_problem(403, "session_required");
    get("/api/operator/nodes").await.expect_problem(403, "session_required");
    for method in [reqwest::Method::PATCH, reqwest::Method::DELETE] {
        let change = as_ada(method, &format!("/api/instances/{id}")).json(&json!({ "name": "x" }));
        operator.send(change).await.expect_problem(403, "view_is_read_only");
    }
    // A customer is nobody's operator, and the reason stands in the log with who gave it.
    let eve = world.customer("eve").await;
    let theirs = eve.request(reqwest::Method::GET, "/api/instances").header("zlh-view-as", &customer);
    eve.send(theirs).await.expect_problem(403, "operator_only");
    let audited =
        "SELECT actor || ' ' || (detail->>'reason') FROM audit_log WHERE action = 'operator.customer_viewed'";
    assert!(world.database.text(audited).await.starts_with("operator:"));
    assert!(world.database.text(audited).await.ends_with(" ticket 7"));
    // It holds for an hour.
    world.database.execute("ALTER TABLE audit_log DISABLE TRIGGER ALL").await;
    world.database.execute("UPDATE audit_log SET at = now() - interval '61 minutes'").await;
    get("/api/instances").await.expect_problem(403, "view_not_begun");
}

#[tokio::test]
async fn operators_see_what_the_controller_found_and_what_came_of_it() {
    let world = World::start().await;
    let operator = world.operator().await;
    let before = operator.get("/api/operator/controller").await.expect(200);
    assert_eq!((before.at("/mode"), before.at("/paused")), (json!("observe"), json!(false)));
    assert_eq!(operator.get("/api/operator/findings").await.expect(200).at(""), json!([]));
    world
        .database
        .execute(
            "INSERT INTO findings (id, fingerprint, rule, level, action, subject, desired, observed, term, reason)
             VALUES ('00000000-0000-7000-8000-000000000001', 'a', 'entry_missing', 1, 'edge_republish', 'x', 'a record', 'nothing', 1,
                     'observing');
             INSERT INTO findings (id, fingerprint, rule, level, subject, desired, observed, term, closed_at)
             VALUES ('00000000-0000-7000-8000-000000000002', 'b', 'not_running', 2, 'y', 'running', 'stopped', 1, now());
             INSERT INTO repairs (id, finding_id, action, term, state, finished_at)
             VALUES ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001', 'edge_republish', 1, 'ended', now());
             INSERT INTO repair_events (id, repair_id, finding_id, action, outcome, before, after, reason, done_by)
             VALUES (gen_random_uuid(), '00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001',
                     'edge_republish', 'repaired', 'nothing', 'a record', 'seen', 'repair-worker')",
        )
        .await;
    let open = operator.get("/api/operator/findings").await.expect(200);
    assert_eq!((open.at("/0/reason"), open.at("/1")), (json!("observing"), json!(null)));
    assert_eq!(open.at("/0/last_repair/outcome"), json!("repaired"));
    let all = operator.get("/api/operator/findings?closed=true").await.expect(200);
    assert_eq!((all.at("/0/rule"), all.at("/1/rule")), (json!("entry_missing"), json!("not_running")));
    let events = operator.get("/api/operator/repairs").await.expect(200);
    assert_eq!((events.at("/0/outcome"), events.at("/0/after")), (json!("repaired"), json!("a record")));
    let ada = world.customer("ada").await;
    for path in ["controller", "findings", "repairs", "incidents"] {
        ada.get(&format!("/api/operator/{path}")).await.expect_problem(403, "operator_only");
    }
}

#[tokio::test]
async fn operators_say_what_the_controller_may_do_and_why() {
    let world = World::start().await;
    let operator = world.operator().await;
    let post = async |path: &str, body: serde_json::Value| {
        operator.post(&format!("/api/operator/controller/{path}"), body).await
    };
    post("mode", json!({ "mode": "level1", "reason": " x " })).await.expect_problem(400, "validation_failed");
    post("mode", json!({ "mode": "level2", "reason": "tried it" }))
        .await
        .expect_problem(400, "malformed_json");
    let mode = json!({ "mode": "level1", "reason": "watched it for a week" });
    let now = post("mode", mode.clone()).await.expect(200);
    assert_eq!(
        (now.at("/mode"), now.at("/change_reason")),
        (json!("level1"), json!("watched it for a week"))
    );
    assert!(now.at("/changed_by").as_str().unwrap().starts_with("operator:"), "{}", now.text);
    // Nobody leads who could tell anybody; the same again is no change.
    post("mode", mode).await.expect(200);
    assert_eq!(world.database.count("SELECT count(*) FROM notifications").await, 0);
    world.database.execute("UPDATE controller SET tells = true").await;
    let paused = post("pause", json!({ "paused": true, "reason": "the zone is moved" })).await.expect(200);
    assert_eq!((paused.at("/mode"), paused.at("/paused")), (json!("level1"), json!(true)));
    let on = post("pause", json!({ "paused": false, "reason": "it has been moved" })).await.expect(200);
    assert_eq!(on.at("/paused"), json!(false));
    let audit = "SELECT string_agg(detail->>'reason', '; ' ORDER BY id) FROM audit_log
                 WHERE action = 'controller.posture' AND actor LIKE 'operator:%' AND request_id IS NOT NULL";
    assert_eq!(
        world.database.text(audit).await,
        "watched it for a week; the zone is moved; it has been moved"
    );
    assert_eq!(world.database.count("SELECT count(*) FROM notifications WHERE channel = 'discord'").await, 2);

    let mut wake = store::controller::Wake::connect(&world.database.owner()).await.unwrap();
    operator.post("/api/operator/controller/look", json!({})).await.expect(202);
    assert_eq!(wake.next().await.unwrap(), store::controller::Called::Asked);
}

#[tokio::test]
async fn operators_see_incidents_with_how_many_findings_are_open() {
    let world = World::start().await;
    let operator = world.operator().await;
    assert_eq!(operator.get("/api/operator/incidents").await.expect(200).at(""), json!([]));
    let incident = |n: u8, ended: &str| {
        format!(
            "INSERT INTO incidents (id, kind, ended_at) VALUES ('00000000-0000-7000-8000-00000000000{n}', 'not_running', {ended});"
        )
    };
    let finding = |name: &str, of: u8, closed: &str| {
        format!(
            "INSERT INTO findings (id, fingerprint, rule, level, subject, desired, observed, term, closed_at, incident_id)
             VALUES (gen_random_uuid(), '{name}', 'not_running', 2, 'y', 'running', 'stopped', 1, {closed},
                     '00000000-0000-7000-8000-00000000000{of}');"
        )
    };
    let rows = [
        incident(1, "now()"),
        incident(2, "NULL"),
        finding("a", 1, "now()"),
        finding("b", 2, "NULL"),
        finding("c", 2, "now()"),
    ];
    world.database.execute(&rows.concat()).await;
    let all = operator.get("/api/operator/incidents").await.expect(200);
    let of = |n: u8| [all.at(&format!("/{n}/open_count")), all.at(&format!("/{n}/finding_count"))];
    assert_eq!((of(0), of(1)), ([json!(1), json!(2)], [json!(0), json!(1)]));
    assert_eq!(all.at("/0/ended_at"), json!(null));
}

#[tokio::test]
async fn operators_put_and_lift_holds_and_those_of_payments_follow_from_payments() {
    let world = World::start().await;
    let (ada, operator) = (world.customer("ada").await, world.operator().await);
    world.node("one", 4).await;
    let id = world.active_instance(&ada, "Mine").await;
    let of = |what: &str| format!("/api/operator/instances/{id}/{what}");
    let place = |reason: &str| json!({ "reason": reason, "note": "Asked by the police." });
    let held = operator.post(&of("holds"), place("abuse")).await.expect(200);
    assert_eq!(held.at("/holds/0/reason/code"), json!("abuse"));
    operator.post(&of("holds"), place("abuse")).await.expect(200);
    let mine = ada.get(&format!("/api/instances/{id}")).await;
    assert_eq!(mine.at("/holds/0/reason/message"), json!("Asked by the police."));
    assert_eq!(mine.at("/holds").as_array().map(Vec::len), Some(1), "the same again is one");
    ada.post(&format!("/api/instances/{id}/power"), json!({ "action": "start" }))
        .await
        .expect_problem(409, "instance_on_hold");
    operator.post(&of("holds"), place("billing")).await.expect_problem(422, "billing_action_refused");
    let lift = |reason: &str| json!({ "reason": reason });
    operator.post(&of("holds/lift"), lift("billing")).await.expect_problem(422, "billing_action_refused");
    operator.post(&of("holds/lift"), lift("operator")).await.expect(200);
    let lifted = operator.post(&of("holds/lift"), lift("abuse")).await.expect(200);
    assert_eq!(lifted.at("/holds"), json!([]));
    let started = "SELECT count(*) FROM power_requests WHERE action = 'start'";
    assert_eq!(world.database.count(started).await, 1, "what is to run starts again");
    let audited =
        "SELECT count(*) FROM audit_log WHERE action IN ('instance.hold_placed', 'instance.hold_lifted')";
    assert_eq!(world.database.count(audited).await, 2);
}

#[tokio::test]
async fn operators_see_what_is_told_outside_try_it_again_and_ask_for_a_test_mail() {
    let world = World::start().await;
    let operator = world.operator().await;
    let list = "/api/operator/notifications";
    assert_eq!(operator.get(list).await.expect(200).at("/items"), json!([]));

    // The test mail is a row like any other, to nobody but who asked.
    let asked = operator.post("/api/operator/mail/test", json!({})).await.expect(202);
    let id = asked.at("/notification_id").as_str().unwrap().to_owned();
    let waiting = operator.get(&format!("{list}?state=waiting")).await.expect(200);
    let seen = ["id", "channel", "template", "state"].map(|key| waiting.at(&format!("/items/0/{key}")));
    assert_eq!(seen, [json!(id), json!("mail"), json!("test"), json!("waiting")]);
    assert_eq!(waiting.at("/items/0/recipient"), asked.at("/recipient"));
    assert_eq!(asked.at("/recipient"), operator.get("/api/me").await.expect(200).at("/email"));

    // It failed, and says why; its payload is nobody's business.
    let failed = format!(
        "UPDATE notifications SET state = 'dead', failure = 'never', code = 550, last_error = 'no such user',
             payload = payload || '{{\"token\": \"secret\"}}' WHERE id = '{id}'"
    );
    world.database.execute(&failed).await;
    assert_eq!(operator.get(&format!("{list}?state=waiting")).await.expect(200).at("/items"), json!([]));
    let answer = operator.get(&format!("{list}?state=failed")).await.expect(200);
    let seen =
        ["code", "failure", "last_error", "next_try_at"].map(|key| answer.at(&format!("/items/0/{key}")));
    assert_eq!(seen, [json!(550), json!("never"), json!("no such user"), json!(null)]);
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    operator.get(&format!("{list}?state=lost")).await.expect_problem(400, "invalid_parameter");

    let retry = |id: &str| format!("{list}/{id}/retry");
    operator.post(&retry(&id), json!({})).await.expect(202);
    let again = operator.get(list).await.expect(200);
    assert_eq!(
        (again.at("/items/0/state"), again.at("/items/0/attempt_count")),
        (json!("waiting"), json!(0))
    );
    let sent = format!("UPDATE notifications SET state = 'sent', sent_at = now() WHERE id = '{id}'");
    world.database.execute(&sent).await;
    operator.post(&retry(&id), json!({})).await.expect_problem(409, "notification_sent");
    operator
        .post(&retry(&uuid::Uuid::now_v7().to_string()), json!({}))
        .await
        .expect_problem(404, "not_found");
    let audited = "SELECT string_agg(action, ' ' ORDER BY id) FROM audit_log
                   WHERE action LIKE 'notification.%' AND actor LIKE 'operator:%' AND request_id IS NOT NULL";
    assert_eq!(world.database.text(audited).await, "notification.mail_requested notification.retry");

    // No process has said yet where mails go; then one does.
    let channels = "/api/operator/channels";
    assert_eq!(operator.get(channels).await.expect(200).at(""), json!([]));
    store::outbox::configured(&world.database.owner(), "mail", Some("smtp.example.com:587")).await.unwrap();
    let mail = operator.get(channels).await.expect(200);
    let seen = ["channel", "route", "stalled", "waiting_count"].map(|key| mail.at(&format!("/0/{key}")));
    assert_eq!(seen, [json!("mail"), json!("smtp.example.com:587"), json!(false), json!(0)]);
}
