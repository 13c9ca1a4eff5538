//! The controller's rows: one leader's word at a time, findings that are counted, closed and never doubled.

use std::time::Duration;

use domain::{
    drift::{Finding, Level, Mode, Reason, RepairAction, Rule, Source},
    ids::InstanceId,
};
use secrecy::SecretString;
use store::{
    Db, StoreError,
    controller::{self, Lock, Pass},
    nodes::{self, Listing},
    testing::required,
};

use crate::fixture::{BY, Fixture};

fn finding(instance: InstanceId, subject: &str) -> Finding {
    Finding {
        rule: Rule::EntryMissing,
        source: Source::Edge("cloudflare".into()),
        level: Level::One,
        action: Some(RepairAction::EdgeRepublish),
        instance: Some(instance),
        operation: None,
        subject: subject.into(),
        desired: "a record".into(),
        observed: "nothing".into(),
        proposal: None,
    }
}

fn pass(term: i64) -> Pass {
    Pass {
        term,
        took_ms: 5,
        instances: 1,
        incomplete: None,
        unseen: Vec::new(),
        breaker: None,
        tell: true,
        apart: Duration::ZERO,
    }
}

async fn leader(f: &Fixture) -> (Db, i64) {
    let db = f.database.role("zlh_controller");
    let term = controller::begin_term(&db, "one").await.unwrap();
    (db, term)
}

#[tokio::test]
async fn an_older_term_writes_nothing() {
    let f = Fixture::new().await;
    let (instance, ..) = f.create(|_| {}).await;
    let (db, old) = leader(&f).await;
    let open = controller::reconcile(&db, &pass(old), &[finding(instance, "a")]).await.unwrap();
    let new = controller::begin_term(&db, "two").await.unwrap();
    assert_eq!(new, old + 1);
    let late = controller::reconcile(&db, &pass(old), &[finding(instance, "b")]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    let id = open.values().next().unwrap().id;
    let late = controller::decide(&db, old, &[(id, None)], &[(id, RepairAction::EdgeRepublish)]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)));
    assert!(
        !controller::is_current(&db, old).await.unwrap() && controller::is_current(&db, new).await.unwrap()
    );
    assert_eq!(f.database.count("SELECT count(*) FROM findings").await, 1);
    assert_eq!(f.database.count("SELECT count(*) FROM repairs").await, 0);
}

#[tokio::test]
async fn a_finding_is_opened_once_counted_by_one_leader_and_closed_when_it_is_gone() {
    let f = Fixture::new().await;
    let (instance, ..) = f.create(|_| {}).await;
    let (db, term) = leader(&f).await;
    let both = [finding(instance, "a"), finding(instance, "b")];
    let seen = async |pass: &Pass, findings: &[Finding]| {
        let open = controller::reconcile(&db, pass, findings).await.unwrap();
        open["entry_missing:a"].seen
    };
    assert_eq!((seen(&pass(term), &both).await, seen(&pass(term), &both).await), (1, 2));
    // Where nothing can be seen, nothing is closed; without rows nothing is counted either.
    let open = async || f.database.count("SELECT count(*) FROM findings WHERE closed_at IS NULL").await;
    let away = |source| Pass { unseen: vec![source], ..pass(term) };
    controller::reconcile(&db, &away(Source::Edge("cloudflare".into())), &[]).await.unwrap();
    assert_eq!((seen(&away(Source::Rows), &both[..1]).await, open().await), (2, 2));
    // Of another part that is away nothing follows for this one.
    assert_eq!((seen(&away(Source::Edge("velocity".into())), &both[..1]).await, open().await), (3, 1));
    // A new leader begins to count anew, and what comes again is another finding.
    let term = controller::begin_term(&db, "two").await.unwrap();
    assert_eq!(seen(&pass(term), &both).await, 1);
    assert_eq!(f.database.count("SELECT count(*) FROM findings").await, 3);
}

#[tokio::test]
async fn a_repair_is_asked_for_once_while_one_is_pending_and_counts_against_the_hour() {
    let f = Fixture::new().await;
    let (instance, ..) = f.create(|_| {}).await;
    let (db, term) = leader(&f).await;
    let open = controller::reconcile(&db, &pass(term), &[finding(instance, "a")]).await.unwrap();
    let id = open["entry_missing:a"].id;
    let repairs = [(id, RepairAction::EdgeRepublish)];
    let first = controller::decide(&db, term, &[(id, None)], &repairs).await.unwrap();
    let second = controller::decide(&db, term, &[(id, Some(Reason::UnderRepair))], &repairs).await.unwrap();
    assert_eq!((first.len(), second.len()), (1, 0));
    assert_eq!(controller::repairs_since(&db, 1).await.unwrap(), 1);
    let open = controller::reconcile(&db, &pass(term), &[finding(instance, "a")]).await.unwrap();
    assert!(open["entry_missing:a"].attempts.pending);
    let listed = controller::list(&db, false, 10).await.unwrap();
    assert_eq!(listed[0].reason.as_deref(), Some("under_repair"));
}

#[tokio::test]
async fn a_pass_without_drift_writes_nothing() {
    let f = Fixture::new().await;
    let (db, term) = leader(&f).await;
    controller::reconcile(&db, &pass(term), &[]).await.unwrap();
    let version = "SELECT xmin::text::bigint FROM controller";
    let before = f.database.count(version).await;
    for _ in 0..5 {
        controller::reconcile(&db, &pass(term), &[]).await.unwrap();
    }
    assert_eq!(f.database.count(version).await, before);
}

#[tokio::test]
async fn an_operators_word_is_written_down_with_its_reason() {
    let f = Fixture::new().await;
    let (db, _) = leader(&f).await;
    assert!(
        controller::set_posture(&db, Some(Mode::Level1), None, BY, "tried it for a week", true)
            .await
            .unwrap()
    );
    assert!(!controller::set_posture(&db, Some(Mode::Level1), Some(false), BY, "again", true).await.unwrap());
    let state = controller::state(&db).await.unwrap();
    assert_eq!(
        (state.mode, state.paused, state.change_reason.as_deref()),
        (Mode::Level1, false, Some("tried it for a week"))
    );
    let audit = "SELECT count(*) FROM audit_log WHERE action = 'controller.posture' AND detail->>'reason' = 'tried it for a week'";
    assert_eq!(f.database.count(audit).await, 1);
    let told = "SELECT count(*) FROM notifications WHERE channel = 'discord' AND payload->>'text' LIKE '%mode level1, by %a week'";
    assert_eq!(f.database.count(told).await, 1);
}

#[tokio::test]
async fn an_incident_is_one_notification_until_it_is_told_and_another_when_it_has_changed() {
    let f = Fixture::new().await;
    let (instance, ..) = f.create(|_| {}).await;
    let (db, term) = leader(&f).await;
    let all: Vec<_> = (0..50).map(|n| finding(instance, &n.to_string())).collect();
    let look = async |findings: &[Finding]| {
        controller::reconcile(&db, &pass(term), findings).await.unwrap();
        f.database.count("SELECT count(*) FROM notifications WHERE channel = 'discord'").await
    };
    // Seen once is nothing to tell of; fifty of one rule are one message; what follows before it is sent is in it.
    assert_eq!(
        (look(&all).await, look(&all).await, look(&all[..3]).await, look(&all[..2]).await),
        (0, 1, 1, 1)
    );
    let id: uuid::Uuid = f.database.text("SELECT id::text FROM incidents").await.parse().unwrap();
    let incident = controller::incident(&db, id).await.unwrap().unwrap();
    assert_eq!((incident.total, incident.open, incident.named.len()), (50, 2, 10));
    assert!(incident.named[0].closed_at.is_none() && incident.message_id.is_none(), "{incident:?}");
    // A change while it was being sent is told next; then the end, and what begins again within the hour.
    let version = incident.version;
    assert_eq!(look(&all[..1]).await, 1);
    controller::told(&db, id, version, "message-1").await.unwrap();
    assert_eq!(look(&all[..1]).await, 2);
    controller::told(&db, id, version + 1, "message-1").await.unwrap();
    assert_eq!(look(&[]).await, 3);
    let ended = controller::incident(&db, id).await.unwrap().unwrap();
    assert!(ended.ended_at.is_some() && ended.open == 0 && ended.message_id.as_deref() == Some("message-1"));
    controller::told(&db, id, ended.version, "message-1").await.unwrap();
    assert_eq!((look(&all).await, look(&all).await), (3, 4));
    assert_eq!(f.database.count("SELECT count(*) FROM incidents WHERE ended_at IS NULL").await, 1);
}

#[tokio::test]
async fn more_rules_at_once_than_anybody_reads_are_one_incident() {
    let f = Fixture::new().await;
    let (instance, ..) = f.create(|_| {}).await;
    let (db, term) = leader(&f).await;
    let of = |rule| Finding { rule, ..finding(instance, "a") };
    let all: Vec<_> = Rule::ALL.iter().map(|rule| of(*rule)).collect();
    for _ in 0..2 {
        controller::reconcile(&db, &pass(term), &all).await.unwrap();
    }
    assert_eq!(f.database.count("SELECT count(*) FROM incidents WHERE kind = 'several'").await, 1);
    assert_eq!(f.database.count("SELECT count(*) FROM notifications").await, 1);
    // Without a way to tell them nothing waits for one.
    let later = Finding { rule: Rule::NotRunning, ..finding(instance, "b") };
    for _ in 0..2 {
        let silent = Pass { tell: false, ..pass(term) };
        controller::reconcile(&db, &silent, std::slice::from_ref(&later)).await.unwrap();
    }
    assert_eq!(f.database.count("SELECT count(*) FROM notifications").await, 1);
}

#[tokio::test]
async fn one_has_the_lock_and_only_who_has_it_keeps_or_lets_go_of_it() {
    let url = SecretString::from(required("ZLH_TEST_REDIS_URL"));
    let prefix = format!("test-{}", InstanceId::generate());
    let [one, two] = ["one", "two"].map(|owner| Lock::new(&url, &prefix, owner).unwrap());
    assert!(one.take().await.unwrap() && !two.take().await.unwrap());
    assert!(one.renew().await.unwrap() && !two.renew().await.unwrap());
    assert!(!two.release().await.unwrap() && one.release().await.unwrap());
    assert!(two.take().await.unwrap() && !one.renew().await.unwrap());
    two.release().await.unwrap();
}

#[tokio::test]
async fn what_a_node_reports_is_read_with_its_age_and_written_again_only_when_it_is_another() {
    let f = Fixture::new().await;
    let (instance, ..) = f.create(|_| {}).await;
    let (db, _) = leader(&f).await;
    let worker = f.database.role("zlh_provision");
    let node = nodes::list(&worker).await.unwrap()[0].id;
    assert_eq!(controller::nodes(&db).await.unwrap()[0].reported_at, None);
    nodes::report_failure(&worker, node, "no answer").await.unwrap();
    let failed = controller::nodes(&db).await.unwrap().remove(0);
    assert!(
        failed.reported_at.is_some()
            && failed.listed_at.is_none()
            && failed.error.as_deref() == Some("no answer")
    );
    let listing = Listing { containers: vec![instance], unmarked: Vec::new() };
    nodes::report(&worker, node, &listing, Duration::from_secs(7), false).await.unwrap();
    let first = controller::nodes(&db).await.unwrap().remove(0);
    let age = first.reported_at.unwrap() - first.listed_at.unwrap();
    assert!(
        (age.as_seconds_f64() - 7.0).abs() < 0.01
            && first.error.is_none()
            && first.containers.contains(&instance)
    );
    // The same again is a new time and no new list, whatever list it is.
    nodes::report(&worker, node, &Listing::default(), Duration::ZERO, true).await.unwrap();
    let again = controller::nodes(&db).await.unwrap().remove(0);
    assert!(again.listed_at > first.listed_at && again.containers == first.containers);
}

#[tokio::test]
async fn a_port_that_is_kept_for_a_server_that_is_gone_is_listed() {
    let f = Fixture::new().await;
    let (instance, ..) = f.create(|_| {}).await;
    let (db, _) = leader(&f).await;
    assert_eq!(controller::lost_ports(&db).await.unwrap(), []);
    let gone =
        format!("UPDATE instances SET lifecycle = 'deleted', capacity_held = false WHERE id = '{instance}'");
    f.database.execute(&gone).await;
    assert_eq!(controller::lost_ports(&db).await.unwrap(), [], "its operation is still under way");
    f.database.execute("UPDATE operations SET state = 'succeeded', finished_at = now()").await;
    let lost = controller::lost_ports(&db).await.unwrap();
    assert!(
        !lost.is_empty() && lost.iter().all(|it| it.instance == instance && it.lifecycle == "deleted"),
        "{lost:?}"
    );
    let known = controller::deleted(&db, &[instance, InstanceId::generate()]).await.unwrap();
    assert_eq!(known.keys().collect::<Vec<_>>(), [&instance]);
}
