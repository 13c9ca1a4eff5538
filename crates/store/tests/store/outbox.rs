//! The outbox: filled with what caused it or not at all, held by one sender at a time.

use std::time::Duration;

use serde_json::json;
use store::{
    Db, Page, StoreError,
    audit::By,
    outbox::{self, Admission, Failure, NewNotification, NotSent, Retried, Wanted},
    testing::TestDatabase,
};

/// Long enough for a test.
const LEASE: Duration = Duration::from_mins(1);

fn notification<'a>(key: &'a str, payload: &'a serde_json::Value) -> NewNotification<'a> {
    NewNotification { channel: "mail", dedupe_key: key, payload, max_age: outbox::MAX_AGE }
}

fn not_sent(error: &str) -> NotSent<'_> {
    NotSent { failure: Failure::Later, error, code: None }
}

async fn sender(database: &TestDatabase) -> Db {
    database.role_with("zlh_test_sender", "SELECT, INSERT, UPDATE ON notifications").await
}

async fn expire_leases(database: &TestDatabase) {
    database
        .execute("UPDATE notifications SET lease_expires_at = now() - interval '1 s' WHERE lease_owner IS NOT NULL")
        .await;
}

#[tokio::test]
async fn a_notification_is_there_when_its_transaction_is_and_once_for_its_key() {
    let database = TestDatabase::create().await;
    let payload = json!({ "to": "somebody" });
    let count = || database.count("SELECT count(*) FROM notifications");
    for role in ["zlh_api", "zlh_provision"] {
        let db = database.role(role);
        assert!(outbox::enqueue_and_roll_back(&db, &notification(role, &payload)).await.unwrap());
        let before = count().await;
        assert!(outbox::enqueue_alone(&db, &notification(role, &payload)).await.unwrap());
        assert!(!outbox::enqueue_alone(&db, &notification(role, &payload)).await.unwrap(), "once");
        let other = NewNotification { channel: "chat", ..notification(role, &payload) };
        assert!(outbox::enqueue_alone(&db, &other).await.unwrap(), "another channel's key");
        assert_eq!(count().await, before + 2);
        for refused in ["SELECT payload FROM notifications", "DELETE FROM notifications"] {
            assert!(database.try_execute_as(role, refused).await.is_err(), "{role}: {refused}");
        }
    }
}

#[tokio::test]
async fn two_senders_claim_different_ones_and_an_old_term_writes_nothing() {
    let database = TestDatabase::create().await;
    let (db, payload) = (sender(&database).await, json!({}));
    for key in ["a", "b", "c"] {
        outbox::enqueue_alone(&db, &notification(key, &payload)).await.unwrap();
    }
    let (one, two) = tokio::join!(
        outbox::claim_batch(&db, "one", "mail", 2, LEASE),
        outbox::claim_batch(&db, "two", "mail", 2, LEASE)
    );
    let claims = [one.unwrap(), two.unwrap()].concat();
    let mut keys: Vec<_> = claims.iter().map(|claim| claim.notification.dedupe_key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(outbox::claim_batch(&db, "three", "mail", 9, LEASE).await.unwrap().len(), 0);

    expire_leases(&database).await;
    let again = outbox::claim_batch(&db, "three", "mail", 9, LEASE).await.unwrap();
    assert!(again.len() == 3 && again.iter().all(|claim| claim.notification.attempts == 2));
    let old = &claims[0].lease;
    let writes = [
        outbox::mark_sent(&db, old).await,
        outbox::retry_later(&db, old, &not_sent("x"), LEASE).await,
        outbox::mark_dead(&db, old, &not_sent("x")).await,
    ];
    assert!(writes.iter().all(|write| matches!(write, Err(StoreError::LeaseLost))), "{writes:?}");
}

#[tokio::test]
async fn what_is_sent_or_dead_stays_so_and_what_is_tried_again_waits() {
    let database = TestDatabase::create().await;
    let (db, payload) = (sender(&database).await, json!({ "n": 1 }));
    for key in ["sent", "dead", "later"] {
        outbox::enqueue_alone(&db, &notification(key, &payload)).await.unwrap();
    }
    for claim in outbox::claim_batch(&db, "s", "mail", 9, LEASE).await.unwrap() {
        assert_eq!(claim.notification.payload, payload);
        match claim.notification.dedupe_key.as_str() {
            "sent" => outbox::mark_sent(&db, &claim.lease).await.unwrap(),
            "dead" => outbox::mark_dead(&db, &claim.lease, &not_sent("no such address")).await.unwrap(),
            _ => outbox::retry_later(&db, &claim.lease, &not_sent("away"), LEASE).await.unwrap(),
        }
        let again = outbox::mark_dead(&db, &claim.lease, &not_sent("x")).await;
        assert!(matches!(again, Err(StoreError::LeaseLost)), "it was let go");
    }
    assert_eq!(outbox::claim_batch(&db, "s", "mail", 9, LEASE).await.unwrap().len(), 0);
    database.execute("UPDATE notifications SET run_after = now()").await;
    let again = outbox::claim_batch(&db, "s", "mail", 9, LEASE).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].last_error.as_deref(), Some("away"));
}

#[tokio::test]
async fn the_backlog_is_what_is_neither_sent_nor_given_up() {
    let database = TestDatabase::create().await;
    let (db, payload) = (sender(&database).await, json!({}));
    assert_eq!(outbox::backlog(&db).await.unwrap(), []);
    for key in ["a", "b", "c"] {
        outbox::enqueue_alone(&db, &notification(key, &payload)).await.unwrap();
    }
    database
        .execute("UPDATE notifications SET created_at = now() - interval '1 hour' WHERE dedupe_key = 'a'")
        .await;
    let claims = outbox::claim_batch(&db, "s", "mail", 2, LEASE).await.unwrap();
    let sent = claims.iter().find(|claim| claim.notification.dedupe_key == "b").expect("due longest");
    outbox::mark_sent(&db, &sent.lease).await.unwrap();
    let backlog = outbox::backlog(&db).await.unwrap();
    assert_eq!((backlog.len(), backlog[0].channel.as_str(), backlog[0].pending), (1, "mail", 2));
    assert!(backlog[0].oldest_seconds >= 3_600.0, "{backlog:?}");
}

/// A mail's payload, whose token nobody but its sender may read.
fn mail(to: &str, template: &str) -> serde_json::Value {
    json!({ "template": template, "to": to, "token": "secret" })
}

#[tokio::test]
async fn an_address_gets_so_many_mails_of_a_template_within_the_hour_however_many_are_sent_at_once() {
    let database = TestDatabase::create().await;
    let db = database.role("zlh_controller");
    for n in 0..12 {
        let to = if n % 2 == 0 { "A@example.com" } else { "a@example.com" };
        outbox::enqueue_alone(&db, &notification(&format!("loop {n}"), &mail(to, "ticket_received")))
            .await
            .unwrap();
    }
    outbox::enqueue_alone(&db, &notification("b", &mail("b@example.com", "ticket_received"))).await.unwrap();
    outbox::enqueue_alone(&db, &notification("test", &mail("a@example.com", "test"))).await.unwrap();
    let claims = outbox::claim_batch(&db, "s", "mail", 99, LEASE).await.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for claim in &claims {
        let (db, id, key) = (db.clone(), claim.notification.id, claim.notification.dedupe_key.clone());
        asked.spawn(async move { (id, key, outbox::admit(&db, id, 5).await.unwrap()) });
    }
    let answers = asked.join_all().await;
    let admitted =
        answers.iter().filter(|(_, key, it)| key.starts_with("loop") && *it == Admission::Admitted);
    let admitted: Vec<_> = admitted.map(|(id, ..)| *id).collect();
    assert_eq!(admitted.len(), 5, "{answers:?}");
    assert!(
        answers.iter().all(|(_, key, it)| key.starts_with("loop") || *it == Admission::Admitted),
        "{answers:?}"
    );
    // Whoever was let through is so at each attempt; there is room again when the hour has passed.
    assert_eq!(outbox::admit(&db, admitted[0], 5).await.unwrap(), Admission::Admitted);
    let (refused, _, full) = answers.iter().find(|(_, _, it)| *it != Admission::Admitted).unwrap();
    assert!(matches!(full, Admission::Full(pause) if *pause > Duration::from_mins(59)), "{full:?}");
    database.execute("UPDATE notifications SET admitted_at = admitted_at - interval '61 minutes'").await;
    assert_eq!(outbox::admit(&db, *refused, 5).await.unwrap(), Admission::Admitted);
}

#[tokio::test]
async fn operators_see_what_waits_and_why_and_no_payload_and_have_it_tried_again() {
    let database = TestDatabase::create().await;
    let (db, api) = (database.role("zlh_controller"), database.role("zlh_api"));
    for key in ["sent", "dead", "waits"] {
        outbox::enqueue_alone(&db, &notification(key, &mail("A@Example.com", "test"))).await.unwrap();
    }
    for claim in outbox::claim_batch(&db, "s", "mail", 9, LEASE).await.unwrap() {
        let why = NotSent { failure: Failure::Never, error: "no such user", code: Some(550) };
        match claim.notification.dedupe_key.as_str() {
            "sent" => outbox::mark_sent(&db, &claim.lease).await.unwrap(),
            "dead" => outbox::mark_dead(&db, &claim.lease, &why).await.unwrap(),
            _ => outbox::retry_later(&db, &claim.lease, &not_sent("greylisted"), LEASE).await.unwrap(),
        }
    }
    assert_eq!(
        database.count("SELECT count(*) FROM notifications WHERE payload ? 'token'").await,
        2,
        "sent: forgotten"
    );
    let all = outbox::list(&api, Wanted::All, Page::new(None, 2)).await.unwrap();
    assert!(all.0.len() == 2 && all.1.is_some());
    let of = async |wanted| outbox::list(&api, wanted, Page::new(None, 9)).await.unwrap().0;
    let (waiting, failed) = (of(Wanted::Waiting).await, of(Wanted::Failed).await);
    assert_eq!((waiting.len(), waiting[0].last_error.as_deref()), (1, Some("greylisted")));
    let dead = &failed[0];
    assert_eq!((dead.recipient.as_deref(), dead.template.as_deref()), (Some("a@example.com"), Some("test")));
    assert_eq!((dead.code, dead.failure.as_deref(), dead.next_try_at), (Some(550), Some("never"), None));

    let by = By { actor: "operator:ada", request_id: None };
    assert_eq!(outbox::retry(&api, dead.id, by).await.unwrap(), Some(Retried::Waiting));
    assert_eq!(outbox::retry(&api, of(Wanted::Sent).await[0].id, by).await.unwrap(), Some(Retried::Sent));
    assert_eq!(outbox::retry(&api, uuid::Uuid::now_v7(), by).await.unwrap(), None);
    let due = outbox::claim_batch(&db, "s", "mail", 9, LEASE).await.unwrap();
    assert_eq!(
        (due.len(), due[0].notification.dedupe_key.as_str(), due[0].notification.attempts),
        (1, "dead", 1)
    );
    let audited = "SELECT string_agg(actor || ' ' || action, ',') FROM audit_log";
    assert_eq!(database.text(audited).await, "operator:ada notification.retry");
}

#[tokio::test]
async fn a_channel_is_stalled_when_nothing_leaves_it_and_not_for_what_waits_by_right() {
    let database = TestDatabase::create().await;
    let (db, payload) = (database.role("zlh_controller"), mail("a@example.com", "test"));
    let stalled = async || {
        let standings = outbox::standings(&database.role("zlh_api")).await.unwrap();
        standings.iter().find(|it| it.channel == "mail").map(|it| it.stalled)
    };
    assert_eq!(stalled().await, None);
    outbox::enqueue_alone(&db, &notification("a", &payload)).await.unwrap();
    assert_eq!(stalled().await, Some(false), "it has only just come");
    let age = |sql: &'static str| database.execute(sql);
    age("UPDATE notifications SET run_after = now() - interval '3 minutes', created_at = now() - interval '3 minutes'").await;
    assert_eq!(stalled().await, Some(true), "nobody takes it");
    outbox::configured(&db, "mail", None).await.unwrap();
    assert_eq!(stalled().await, Some(false), "nobody is to");
    outbox::configured(&db, "mail", Some("smtp.example.com:587")).await.unwrap();

    let claim = &outbox::claim_batch(&db, "s", "mail", 9, LEASE).await.unwrap()[0];
    assert_eq!(stalled().await, Some(false), "somebody is at it");
    let why = NotSent { failure: Failure::Blocked, error: "535 wrong password", code: Some(535) };
    outbox::retry_later(&db, &claim.lease, &why, LEASE).await.unwrap();
    assert_eq!(stalled().await, Some(false), "it may pass");
    age("UPDATE notifications SET blocked_since = now() - interval '3 minutes'").await;
    assert_eq!(stalled().await, Some(true));
    let standing = &outbox::standings(&db).await.unwrap()[0];
    assert_eq!(standing.blocked_by.as_deref(), Some("535 wrong password"));
    age("UPDATE notifications SET failure = 'later', blocked_since = NULL").await;
    assert_eq!(stalled().await, Some(false), "a greylist");
}
