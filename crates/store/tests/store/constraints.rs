//! What the tables refuse, whoever writes and whatever the code believes.

use domain::operation::StepName;

use crate::fixture::Fixture;

/// Nobody writes this: each statement is refused by the constraint that is named beside it.
const REFUSED: &[(&str, &str)] = &[
    ("operations_lease_whole", "UPDATE operations SET state = 'running', lease_owner = 'w'"),
    ("operations_lease_whole", "UPDATE operations SET state = 'running', lease_expires_at = now()"),
    ("operations_lease_at_work", "UPDATE operations SET lease_owner = 'w', lease_expires_at = now()"),
    (
        "operations_lease_at_work",
        "UPDATE operations SET state = 'stuck', lease_owner = 'w', lease_expires_at = now()",
    ),
    (
        "operations_lease_at_work",
        "UPDATE operations SET state = 'succeeded', finished_at = now(), lease_owner = 'w', lease_expires_at = now()",
    ),
    ("operations_lease_term_check", "UPDATE operations SET lease_term = -1"),
    ("operations_interruptions_check", "UPDATE operations SET interruptions = -1"),
    ("operations_failed_attempts_check", "UPDATE operations SET failed_attempts = -1"),
    ("operations_progress_check", "UPDATE operations SET progress = 101"),
    ("operations_step_known", "UPDATE operations SET step = 'make_coffee'"),
    (
        "operation_steps_name_known",
        "INSERT INTO operation_steps (operation_id, name, ordinal, state, lease_term)
         SELECT id, 'make_coffee', 0, 'applying', 1 FROM operations",
    ),
    ("operation_steps_ended", "UPDATE operation_steps SET state = 'applied'"),
    ("operation_steps_ended", "UPDATE operation_steps SET finished_at = now()"),
    ("operation_steps_error", "UPDATE operation_steps SET state = 'undo_failed', finished_at = now()"),
    ("operation_steps_error", "UPDATE operation_steps SET error = 'x'"),
    ("operation_steps_attempts_check", "UPDATE operation_steps SET attempts = 0"),
    ("operation_steps_ordinal_check", "UPDATE operation_steps SET ordinal = -1"),
    ("notifications_lease_whole", "UPDATE notifications SET lease_owner = 'w'"),
    ("notifications_lease_whole", "UPDATE notifications SET lease_expires_at = now()"),
    (
        "notifications_lease_at_work",
        "UPDATE notifications SET state = 'sent', sent_at = now(), lease_owner = 'w', lease_expires_at = now()",
    ),
    ("notifications_sent", "UPDATE notifications SET state = 'sent'"),
    ("notifications_sent", "UPDATE notifications SET sent_at = now()"),
    ("notifications_dead", "UPDATE notifications SET state = 'dead'"),
    (
        "notifications_once",
        "INSERT INTO notifications (id, channel, dedupe_key, payload, expires_at)
         SELECT gen_random_uuid(), channel, dedupe_key, payload, expires_at FROM notifications",
    ),
    ("nodes_ports_range", "UPDATE nodes SET first_port = last_port + 1"),
    ("nodes_ports_range", "UPDATE nodes SET first_port = NULL"),
    ("nodes_ports_range", "UPDATE nodes SET last_port = NULL"),
];

#[tokio::test]
async fn what_must_not_be_is_refused_by_the_tables_themselves() {
    let f = Fixture::new().await;
    f.create(|_| {}).await.2.unwrap();
    let step = "INSERT INTO operation_steps (operation_id, name, ordinal, state, lease_term)
        SELECT id, 'install', 3, 'applying', 1 FROM operations";
    f.database.execute(step).await;
    let notification = "INSERT INTO notifications (id, channel, dedupe_key, payload, expires_at)
        VALUES (gen_random_uuid(), 'mail', 'k', '{}', now())";
    f.database.execute(notification).await;
    for (constraint, sql) in REFUSED {
        let refused = f.database.try_execute(sql).await.expect_err(sql);
        assert!(refused.contains(constraint), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn the_steps_that_the_code_knows_are_those_that_the_tables_take() {
    let f = Fixture::new().await;
    let mut known: Vec<_> = StepName::ALL.iter().map(|step| step.as_str()).collect();
    known.sort_unstable();
    for constraint in ["operations_step_known", "operation_steps_name_known"] {
        let sql = format!(
            "SELECT string_agg(name[1], ' ' ORDER BY name[1] COLLATE \"C\") FROM pg_constraint,
                 regexp_matches(pg_get_constraintdef(oid), '''([a-z_]+)''', 'g') AS name
             WHERE conname = '{constraint}'"
        );
        assert_eq!(f.database.text(&sql).await, known.join(" "), "{constraint}");
    }
}
