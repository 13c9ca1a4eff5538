//! The outbox: filled with what caused it or not at all, held by one sender at a time.

use std::time::Duration;

use serde_json::json;
use store::{
    Db, StoreError,
    outbox::{self, NewNotification},
    testing::TestDatabase,
};

/// Long enough for a test.
const LEASE: Duration = Duration::from_mins(1);

fn notification<'a>(key: &'a str, payload: &'a serde_json::Value) -> NewNotification<'a> {
    NewNotification { channel: "mail", dedupe_key: key, payload, max_age: outbox::MAX_AGE }
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
        outbox::retry_later(&db, old, "x", LEASE).await,
        outbox::mark_dead(&db, old, "x").await,
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
            "dead" => outbox::mark_dead(&db, &claim.lease, "no such address").await.unwrap(),
            _ => outbox::retry_later(&db, &claim.lease, "away", LEASE).await.unwrap(),
        }
        let again = outbox::mark_dead(&db, &claim.lease, "x").await;
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
