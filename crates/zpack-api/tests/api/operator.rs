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
