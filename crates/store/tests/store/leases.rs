//! Leases: one holder, increasing terms, nothing written under an old one.

use domain::{
    ids::{CustomerId, NodeId, OperationId},
    operation::{Failure, OperationKind, OperationState, Slot, StepName},
};
use futures_util::future::join_all;
use store::{StoreError, audit::By, operations, testing};

use crate::fixture::{BY, Fixture};

async fn expire(f: &Fixture, id: OperationId) {
    let sql =
        format!("UPDATE operations SET lease_expires_at = now() - interval '1 second' WHERE id = '{id}'");
    f.database.execute(&sql).await;
}

#[tokio::test]
async fn many_claims_at_once_have_one_winner() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    let claims = join_all((0..16).map(|n| {
        let (worker, owner) = (f.worker.clone(), format!("w{n}"));
        async move { testing::claim(&worker, id, &owner).await.unwrap() }
    }))
    .await;
    assert_eq!(claims.iter().flatten().count(), 1);
}

#[tokio::test]
async fn a_taken_over_operation_refuses_every_write_of_the_old_term() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    let old = testing::claim(&f.worker, id, "old").await.unwrap().unwrap();
    operations::begin_step(&f.worker, &old.lease, OperationKind::Create, StepName::CreateContainer)
        .await
        .unwrap();
    assert!(testing::claim(&f.worker, id, "new").await.unwrap().is_none(), "the lease is in force");
    expire(&f, id).await;
    let new = testing::claim(&f.worker, id, "new").await.unwrap().unwrap();
    assert_eq!((new.lease.term, new.operation.interruptions), (old.lease.term + 1, 1));
    let failure = Failure::new("x", "y");
    let (db, lease, step) = (&f.worker, &old.lease, StepName::CreateContainer);
    let writes = [
        operations::renew(db, lease).await,
        operations::begin_step(db, lease, OperationKind::Create, step).await,
        operations::end_step(db, lease, step).await,
        operations::undo_step(db, lease, step, None).await,
        operations::report(db, lease, "x").await.map(drop),
        operations::begin_undo(db, lease, &failure).await,
        operations::save_fingerprint(db, lease, &"0".repeat(64)).await,
        operations::save_address(db, lease, "a:1").await,
        operations::create_succeeded(db, lease, BY).await,
        operations::create_failed(db, lease, &failure, BY).await,
        operations::delete_succeeded(db, lease, BY).await,
        operations::park_stuck(db, lease, &failure, BY).await,
        operations::retry_later(db, lease, &failure, 1).await,
        operations::release(db, lease).await,
    ];
    for (n, write) in writes.into_iter().enumerate() {
        assert!(matches!(write, Err(StoreError::LeaseLost)), "write {n}: {write:?}");
    }
    let now = operations::get(&f.api, f.customer, id).await.unwrap().unwrap();
    assert_eq!((now.state, now.failure), (OperationState::Running, None));
    operations::renew(&f.worker, &new.lease).await.unwrap();
}

#[tokio::test]
async fn the_audit_log_names_whoever_ended_an_operation() {
    let f = Fixture::new().await;
    let (instance, id, _) = f.create(|_| {}).await;
    let claim = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    operations::park_stuck(&f.worker, &claim.lease, &Failure::new("first", "x"), By::itself("some-daemon"))
        .await
        .unwrap();
    operations::resume_stuck(&f.worker, id, By::itself("operator:somebody"), "mended").await.unwrap();
    let claim = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    operations::create_failed(&f.worker, &claim.lease, &Failure::new("first", "x"), BY).await.unwrap();
    let rows = f
        .database
        .text(
            "SELECT string_agg(concat_ws(' ', actor, action, customer_id, instance_id, detail->>'operation',
                                         detail->>'failure'), '; ' ORDER BY id)
             FROM audit_log WHERE action <> 'instance.create'",
        )
        .await;
    let about = format!("{} {instance} {id}", f.customer);
    assert_eq!(
        rows,
        format!(
            "some-daemon operation.stuck {about} first; operator:somebody operation.resume {about}; \
             test instance.create_failed {about} first"
        )
    );
}

#[tokio::test]
async fn a_lease_that_was_let_go_is_no_interruption() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    let first = testing::claim(&f.worker, id, "a").await.unwrap().unwrap();
    operations::release(&f.worker, &first.lease).await.unwrap();
    let second = testing::claim(&f.worker, id, "b").await.unwrap().unwrap();
    assert_eq!((second.operation.interruptions, second.lease.term), (0, 2));
}

#[tokio::test]
async fn a_step_is_in_the_journal_before_it_runs_and_again_after() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    let claim = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    let journal = || async {
        let steps = operations::steps(&f.api, &claim.operation).await.unwrap();
        steps.iter().map(|s| format!("{} {} {}", s.name, s.state, s.attempts)).collect::<Vec<_>>()
    };
    let (db, lease) = (&f.worker, &claim.lease);
    operations::begin_step(db, lease, OperationKind::Create, StepName::CreateContainer).await.unwrap();
    assert_eq!(journal().await, ["create_container applying 1"]);
    operations::begin_step(db, lease, OperationKind::Create, StepName::CreateContainer).await.unwrap();
    operations::end_step(db, lease, StepName::CreateContainer).await.unwrap();
    operations::begin_step(db, lease, OperationKind::Create, StepName::StartContainer).await.unwrap();
    assert_eq!(journal().await, ["create_container applied 2", "start_container applying 1"]);
    operations::undo_step(db, lease, StepName::StartContainer, Some("no")).await.unwrap();
    operations::undo_step(db, lease, StepName::CreateContainer, None).await.unwrap();
    assert_eq!(journal().await, ["create_container undone 2", "start_container undo_failed 1"]);
}

#[tokio::test]
async fn a_stuck_operation_blocks_until_a_person_resumes_it() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    let claim = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    operations::park_stuck(&f.worker, &claim.lease, &Failure::new("undo_failed", "x"), BY).await.unwrap();
    assert!(testing::claim(&f.worker, id, "w").await.unwrap().is_none());
    let stuck = operations::list_all(&f.api, Some(OperationState::Stuck), store::Page::new(None, 10))
        .await
        .unwrap()
        .0;
    assert_eq!(stuck.iter().map(|o| o.id).collect::<Vec<_>>(), [id]);
    assert_eq!(operations::backlog(&f.worker).await.unwrap().stuck, 1);
    let resumed =
        operations::resume_stuck(&f.worker, id, By::itself("operator:test"), "mended").await.unwrap();
    assert_eq!(resumed.map(|dispatch| dispatch.row()), Some(id));
    assert!(
        operations::resume_stuck(&f.worker, id, By::itself("operator:test"), "mended")
            .await
            .unwrap()
            .is_none()
    );
    let again = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    assert_eq!(again.operation.state, OperationState::Undoing);
}

#[tokio::test]
async fn an_operation_that_cannot_be_read_is_left_to_a_worker_that_can() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    // As a newer version would write it, whose migration knows the step.
    f.database.execute("ALTER TABLE operations DROP CONSTRAINT operations_step_known").await;
    f.database.execute("UPDATE operations SET step = 'of_a_newer_version'").await;
    let unreadable = testing::claim(&f.worker, id, "w").await;
    assert!(matches!(unreadable, Err(StoreError::Corrupt { .. })), "{unreadable:?}");
    assert!(testing::claim(&f.worker, id, "w").await.unwrap().is_none(), "nobody tries at once again");
    f.database.execute("UPDATE operations SET step = NULL, run_after = now()").await;
    let claim = testing::claim(&f.worker, id, "newer").await.unwrap().unwrap();
    assert_eq!(claim.operation.interruptions, 0);
}

#[tokio::test]
async fn the_sweep_finds_what_nobody_holds_and_two_sweeps_find_different_rows() {
    let f = Fixture::new().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(f.create(|_| {}).await.1);
    }
    assert!(
        operations::take_unclaimed(&f.worker, 10).await.unwrap().is_empty(),
        "just committed: its job is on its way"
    );
    f.database.execute("UPDATE operations SET run_after = now() - interval '1 minute'").await;
    testing::claim(&f.worker, ids[0], "w").await.unwrap().unwrap();
    let (one, two) =
        tokio::join!(operations::take_unclaimed(&f.worker, 2), operations::take_unclaimed(&f.worker, 2));
    let mut found = [one.unwrap(), two.unwrap()].concat();
    found.sort();
    assert_eq!(found, ids[1..]);
    assert_eq!(operations::backlog(&f.worker).await.unwrap().due, 3);
}

#[tokio::test]
async fn an_operation_that_waits_for_its_next_try_is_not_claimed_early() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    let claim = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    operations::retry_later(&f.worker, &claim.lease, &Failure::new("x", "later"), 60).await.unwrap();
    assert!(testing::claim(&f.worker, id, "w").await.unwrap().is_none());
    f.database.execute("UPDATE operations SET run_after = now()").await;
    let again = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    assert_eq!((again.failed_attempts, again.operation.interruptions), (1, 0));
}

#[tokio::test]
async fn a_worker_claims_only_what_runs_on_its_nodes() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    assert!(operations::claim(&f.worker, id, "w", &[]).await.unwrap().is_none());
    assert!(operations::claim(&f.worker, id, "w", &[NodeId::generate()]).await.unwrap().is_none());
    testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
}

#[tokio::test]
async fn a_strangers_words_are_cleaned_and_never_keep_a_failure_from_being_written() {
    let f = Fixture::new().await;
    let (_, id, _) = f.create(|_| {}).await;
    let claim = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
    let step = StepName::CreateContainer;
    operations::begin_step(&f.worker, &claim.lease, OperationKind::Create, step).await.unwrap();
    let words = format!("by\0e \u{1b}[31m{}", "x".repeat(100_000));
    operations::report(&f.worker, &claim.lease, &words).await.unwrap();
    let failure = Failure::new("crashed_at_start", &words);
    operations::begin_undo(&f.worker, &claim.lease, &failure).await.unwrap();
    operations::undo_step(&f.worker, &claim.lease, step, Some(&words)).await.unwrap();
    operations::undone(&f.worker, &claim.lease, OperationKind::Create, &failure, BY).await.unwrap();
    let seen = operations::get(&f.api, f.customer, id).await.unwrap().unwrap();
    let message = seen.failure.unwrap().message;
    assert_eq!(seen.state, OperationState::Failed);
    assert!(
        message.starts_with("by\u{FFFD}e \u{FFFD}[31mx") && message.chars().count() == 2_000,
        "{message}"
    );
}

#[tokio::test]
async fn customers_take_turns_whoever_asked_for_more() {
    let f = Fixture::new().await;
    let nodes = nodes(&f).await;
    let (many, few) = (f.customer, CustomerId::generate());
    f.add_customer(few, 20).await;
    let mut places = Vec::new();
    for customer in [many, many, many, many, few, few] {
        let (_, operation, made) = f.create(|new| new.customer_id = customer).await;
        assert!(made.is_ok());
        places.push(operation);
    }
    for (operation, place) in places.iter().zip([1, 3, 5, 6, 2, 4]) {
        let read = operations::find(&f.api, *operation).await.unwrap().unwrap();
        assert_eq!(operations::place(&f.api, &read).await.unwrap(), Some(place));
    }
    let mut served = Vec::new();
    // Each ends before the next is asked for: nobody has more under way than another.
    while let Some(id) = operations::next(&f.worker, Slot::Short, &nodes, 4).await.unwrap() {
        let claim = testing::claim(&f.worker, id, "w").await.unwrap().unwrap();
        served.push(claim.operation.customer_id);
        operations::create_failed(&f.worker, &claim.lease, &Failure::new("x", "y"), BY).await.unwrap();
    }
    assert_eq!(served, [many, few, many, few, many, many]);
    let last = operations::find(&f.api, places[3]).await.unwrap().unwrap();
    assert_eq!(operations::place(&f.api, &last).await.unwrap(), None, "it does not wait any more");
}

#[tokio::test]
async fn a_customer_has_one_operation_under_way_while_others_wait_and_never_more_than_its_share() {
    let f = Fixture::new().await;
    let nodes = nodes(&f).await;
    let (many, few) = (f.customer, CustomerId::generate());
    f.add_customer(few, 20).await;
    for customer in [many, many, many, many, few, few] {
        assert!(f.create(|new| new.customer_id = customer).await.2.is_ok());
    }
    let next = async |share| operations::next(&f.worker, Slot::Short, &nodes, share).await.unwrap();
    let mut served = Vec::new();
    while let Some(id) = next(2).await {
        served.push(testing::claim(&f.worker, id, "w").await.unwrap().unwrap().operation.customer_id);
    }
    assert_eq!(served, [many, few, many, few], "one each, then another each, and no third");
    assert!(next(3).await.is_some());
    assert_eq!(
        operations::next(&f.worker, Slot::Long, &nodes, 9).await.unwrap(),
        None,
        "none is of a backup"
    );
    // A worker that died holds nobody's share.
    f.database
        .execute("UPDATE operations SET lease_expires_at = now() - interval '1 s' WHERE lease_owner = 'w'")
        .await;
    assert!(next(1).await.is_some());
    assert_eq!(operations::next(&f.worker, Slot::Short, &[NodeId::generate()], 9).await.unwrap(), None);
}

/// The nodes, as a worker that has engines for all of them.
async fn nodes(f: &Fixture) -> Vec<NodeId> {
    let ids = f.database.text("SELECT string_agg(id::text, ',') FROM nodes").await;
    ids.split(',').map(|id| id.parse().unwrap()).collect()
}
