//! Repairs of which nothing can be written down.

use domain::{drift::Mode, ids::RepairId};
use integrations::edge::Edge as _;
use repair_worker::repair::Repairer;
use runtime::worker::work_once;
use store::{audit::By, controller as rows};
use tokio_util::sync::CancellationToken;
use zlh_controller::pass::Memory;

use super::{Fleet, publication};

/// A repair of server 1 that the leader has asked for.
async fn asked(fleet: &Fleet) -> RepairId {
    fleet.edge.withdraw(&publication(1)).await.unwrap();
    rows::set_posture(&fleet.db, Some(Mode::Level1), None, By::itself("test"), "test", false).await.unwrap();
    let term = rows::begin_term(&fleet.db, "test").await.unwrap();
    let mut memory = Memory::default();
    fleet.controller.pass(term, &mut memory).await.unwrap();
    fleet.controller.pass(term, &mut memory).await.unwrap()[0].row()
}

const LEASE_ENDS: &str = "UPDATE repairs SET lease_expires_at = now() - interval '1 second'";

#[tokio::test]
async fn a_repair_that_cannot_be_written_down_has_failed_after_five_attempts_and_its_finding_says_why() {
    let fleet = Fleet::new(1).await;
    let (id, repair_db) = (asked(&fleet).await, fleet.database.role("zlh_repair"));
    let repairer = Repairer::new(repair_db.clone(), fleet.edge.clone());
    // Whatever the table refuses.
    fleet
        .database
        .execute("ALTER TABLE repair_events ADD CONSTRAINT refused CHECK (outcome = 'failed')")
        .await;
    // To be let go of at a shutdown is no attempt.
    let claim = store::repairs::claim(&repair_db, id, "stopped").await.unwrap().unwrap();
    store::repairs::release(&repair_db, &claim).await.unwrap();
    let ended = "SELECT count(*) FROM repairs WHERE state = 'ended'";
    for attempt in 1..=5 {
        assert_eq!(fleet.database.count(ended).await, 0, "before attempt {attempt}");
        assert!(work_once(&repairer, id, "test", &CancellationToken::new()).await.unwrap());
        fleet.database.execute(&format!("{LEASE_ENDS} WHERE state = 'running'")).await;
    }
    assert_eq!(fleet.database.count(ended).await, 1);
    assert!(!work_once(&repairer, id, "test", &CancellationToken::new()).await.unwrap(), "it has ended");
    let tried = rows::list(&fleet.db, true, 10).await.unwrap().remove(0).tried.unwrap();
    assert_eq!(tried.outcome, "failed");
    assert!(
        tried.reason.contains("none of 5 attempts") && tried.reason.contains("refused"),
        "{}",
        tried.reason
    );
}

#[tokio::test]
async fn a_repair_whose_worker_is_gone_each_time_fails_without_another_attempt() {
    let fleet = Fleet::new(1).await;
    let (id, repair_db) = (asked(&fleet).await, fleet.database.role("zlh_repair"));
    for _ in 0..5 {
        assert!(store::repairs::claim(&repair_db, id, "gone").await.unwrap().is_some());
        fleet.database.execute(LEASE_ENDS).await;
    }
    let published = fleet.edge.scenario.count("publish");
    let repairer = Repairer::new(repair_db, fleet.edge.clone());
    work_once(&repairer, id, "test", &CancellationToken::new()).await.unwrap();
    assert_eq!(fleet.edge.scenario.count("publish"), published);
    assert_eq!(fleet.database.count("SELECT count(*) FROM repair_events WHERE outcome = 'failed'").await, 1);
}
