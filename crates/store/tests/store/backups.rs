//! Backups: what may be asked for when, what retention keeps, and that a complete one is never forgotten.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    agent::{BackupFacts, PowerAction},
    backup::{Backup, BackupOrigin, BackupRefusal, BackupState},
    ids::{BackupId, CustomerId, InstanceId, OperationId},
    instance::{HoldReason, Lifecycle},
    operation::{Failure, OperationKind, OperationState},
};
use store::{
    Page, StoreError,
    audit::By,
    backups::{self, BackupRequest, Edit, NewBackup, RemoveOutcome, RequestError, Requested, Use},
    holds::NewHold,
    instances::{self, DeleteOutcome, DeleteRequest},
    operations,
    power::{self, PowerRequest},
    testing,
};

use crate::fixture::{BY, Fixture, now};

fn facts(bytes: u64) -> BackupFacts {
    BackupFacts {
        archive_bytes: bytes,
        archive_sha256: "a".repeat(64),
        manifest_sha256: "b".repeat(64),
        content_bytes: 2 * bytes,
        files: 3,
        changed_files: 1,
    }
}

fn asked(customer: CustomerId, instance: InstanceId) -> BackupRequest<'static> {
    let operation = OperationId::generate();
    BackupRequest { customer, instance, operation, key: None, actor: "test", request_id: None }
}

fn new(keep: u32) -> NewBackup<'static> {
    let origin = BackupOrigin::Customer;
    NewBackup { id: BackupId::generate(), name: "mine", origin, ignore: &[], keep }
}

impl Fixture {
    /// An instance whose create has succeeded.
    pub(crate) async fn active(&self) -> InstanceId {
        let (id, create, _) = self.create(|_| {}).await;
        let claim = testing::claim(&self.worker, create, "w").await.unwrap().unwrap();
        operations::create_succeeded(&self.worker, &claim.lease, BY).await.unwrap();
        id
    }

    async fn ask(&self, instance: InstanceId, keep: u32) -> Result<(BackupId, OperationId), RequestError> {
        let (asked, new) = (asked(self.customer, instance), new(keep));
        backups::request(&self.api, &asked, &new, now()).await?;
        Ok((new.id, asked.operation))
    }

    /// A backup that was made.
    async fn made(&self, instance: InstanceId, keep: u32) -> BackupId {
        let (id, operation) = self.ask(instance, keep).await.unwrap();
        let claim = testing::claim(&self.worker, operation, "w").await.unwrap().unwrap();
        backups::save_upload(&self.worker, &claim.lease, "upload").await.unwrap();
        backups::save_facts(&self.worker, &claim.lease, &facts(10)).await.unwrap();
        backups::backup_succeeded(&self.worker, &claim.lease, BY).await.unwrap();
        id
    }

    /// Something that is to be done to the instance then.
    async fn schedule(&self, instance: InstanceId, at: DateTime<Utc>) {
        let insert = format!(
            "INSERT INTO schedules (id, instance_id, customer_id, name, cron, time_zone, action, enabled, next_run_at,
                 created_at, updated_at)
             VALUES (gen_random_uuid(), '{instance}', '{}', 'n', '@daily', 'UTC', 'stop', true, '{at}', now(), now())",
            self.customer
        );
        self.database.execute(&insert).await;
    }

    async fn failed(&self, instance: InstanceId) -> BackupId {
        let (id, operation) = self.ask(instance, 5).await.unwrap();
        let claim = testing::claim(&self.worker, operation, "w").await.unwrap().unwrap();
        let failure = Failure::new("x", "y");
        operations::undone(&self.worker, &claim.lease, OperationKind::Backup, &failure, BY).await.unwrap();
        id
    }

    async fn backup(&self, id: BackupId) -> Backup {
        backups::get_for_work(&self.worker, id).await.unwrap().unwrap()
    }

    async fn states(&self, ids: &[BackupId]) -> Vec<BackupState> {
        let mut states = Vec::new();
        for id in ids {
            states.push(self.backup(*id).await.state);
        }
        states
    }

    /// Ends a restore or verification of the backup with this outcome.
    async fn used(&self, instance: InstanceId, id: BackupId, wanted: Use, failure: Option<Failure>) {
        let asked = asked(self.customer, instance);
        backups::request_use(&self.api, &asked, id, wanted, now()).await.unwrap();
        let claim = testing::claim(&self.worker, asked.operation, "w").await.unwrap().unwrap();
        match failure {
            Some(failure) => {
                let kind = claim.operation.kind;
                operations::undone(&self.worker, &claim.lease, kind, &failure, BY).await.unwrap();
            }
            None => backups::verify_succeeded(&self.worker, &claim.lease, BY).await.unwrap(),
        }
    }
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, RequestError>) -> BackupRefusal {
    match outcome {
        Err(RequestError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_backup_is_asked_for_made_listed_and_its_owners_only() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let (id, operation) = f.ask(instance, 3).await.unwrap();
    let running = f.backup(id).await;
    assert_eq!((running.state, running.facts, running.keep), (BackupState::Running, None, 3));
    let listed = operations::get(&f.api, f.customer, operation).await.unwrap().unwrap();
    assert_eq!((listed.kind, listed.backup_id), (OperationKind::Backup, Some(id)));
    let claim = testing::claim(&f.worker, operation, "w").await.unwrap().unwrap();
    assert_eq!(claim.operation.backup_id, Some(id));
    backups::save_upload(&f.worker, &claim.lease, "upload").await.unwrap();
    backups::save_facts(&f.worker, &claim.lease, &facts(10)).await.unwrap();
    backups::backup_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    let made = backups::get(&f.api, f.customer, instance, id).await.unwrap().unwrap();
    assert_eq!((made.state, made.facts, made.upload_id), (BackupState::Available, Some(facts(10)), None));
    let (page, _) = backups::list(&f.api, f.customer, instance, Page::new(None, 10)).await.unwrap();
    assert_eq!(page.iter().map(|it| it.id).collect::<Vec<_>>(), [id]);
    // The same ids with another customer, or another instance of the same one, name nothing.
    let stranger = CustomerId::generate();
    f.add_customer(stranger, 5).await;
    let other = f.active().await;
    for (customer, instance) in [(stranger, instance), (f.customer, other)] {
        assert_eq!(backups::get(&f.api, customer, instance, id).await.unwrap(), None);
        assert!(backups::list(&f.api, customer, instance, Page::new(None, 10)).await.unwrap().0.is_empty());
        let edit = Edit { name: Some("theirs"), locked: Some(true) };
        assert!(!backups::edit(&f.api, customer, instance, id, edit).await.unwrap());
        let asked = asked(customer, instance);
        let removal = backups::request_removal(&f.api, &asked, id).await.unwrap();
        assert_eq!(removal, RemoveOutcome::Absent);
        let restore = backups::request_use(&f.api, &asked, id, Use::Restore, now()).await;
        assert!(matches!(restore, Err(RequestError::Absent)), "{restore:?}");
    }
    assert_eq!(f.backup(id).await.name, "mine");
}

#[tokio::test]
async fn nothing_is_begun_on_a_server_that_is_busy_on_hold_or_not_active() {
    let f = Fixture::new().await;
    let (young, ..) = f.create(|_| {}).await;
    assert_eq!(refusal(f.ask(young, 3).await), BackupRefusal::NotActive(Lifecycle::Provisioning));
    let instance = f.active().await;
    let id = f.made(instance, 3).await;
    for reason in HoldReason::ALL {
        let hold = NewHold { instance, reason: *reason, note: "note", stop: false, by: BY };
        store::holds::place(&f.database.owner(), &hold, now()).await.unwrap();
        assert_eq!(refusal(f.ask(instance, 3).await), BackupRefusal::OnHold(*reason));
        for wanted in [Use::Restore, Use::Verify] {
            let asked = asked(f.customer, instance);
            let refused = backups::request_use(&f.api, &asked, id, wanted, now()).await;
            assert_eq!(refusal(refused), BackupRefusal::OnHold(*reason));
        }
        store::holds::lift(&f.database.owner(), instance, *reason, BY, now()).await.unwrap();
    }
    let (_, operation) = f.ask(instance, 3).await.unwrap();
    assert_eq!(refusal(f.ask(instance, 3).await), BackupRefusal::Busy(operation));
    let restore = backups::request_use(&f.api, &asked(f.customer, instance), id, Use::Restore, now()).await;
    assert_eq!(refusal(restore), BackupRefusal::Busy(operation));
    let delete = DeleteRequest {
        customer: f.customer,
        instance,
        operation: OperationId::generate(),
        actor: "test",
        request_id: None,
    };
    let busy = instances::request_delete(&f.api, &delete, now()).await.unwrap();
    assert_eq!(busy, DeleteOutcome::Busy(operation));
}

#[tokio::test]
async fn of_many_requests_at_once_one_wins() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let asks = (0..8).map(|_| f.ask(instance, 3));
    let outcomes = futures_util::future::join_all(asks).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for refused in lost {
        assert!(matches!(refusal(refused), BackupRefusal::Busy(_)));
    }
    assert_eq!(f.database.count("SELECT count(*) FROM backups").await, 1);
}

#[tokio::test]
async fn retention_makes_room_but_not_with_what_is_locked_or_the_last_good_one() {
    use BackupState::{Available, Deleting};

    let f = Fixture::new().await;
    let instance = f.active().await;
    let first = f.made(instance, 2).await;
    let lock = Edit { name: None, locked: Some(true) };
    assert!(backups::edit(&f.api, f.customer, instance, first, lock).await.unwrap());
    let second = f.made(instance, 2).await;
    let third = f.made(instance, 2).await;
    assert_eq!(f.states(&[first, second, third]).await, [Available, Deleting, Available]);
    // A damaged one goes before an older good one.
    let unlock = Edit { name: None, locked: Some(false) };
    assert!(backups::edit(&f.api, f.customer, instance, first, unlock).await.unwrap());
    let corrupt = Failure::new("backup_corrupt", "It is damaged.");
    f.used(instance, third, Use::Verify, Some(corrupt)).await;
    assert_eq!(f.backup(third).await.verify_failure.map(|it| it.message), Some("It is damaged.".into()));
    let fourth = f.made(instance, 2).await;
    assert_eq!(f.states(&[first, third, fourth]).await, [Available, Deleting, Available]);
    // With everything locked there is no room.
    for id in [first, fourth] {
        assert!(backups::edit(&f.api, f.customer, instance, id, lock).await.unwrap());
    }
    assert_eq!(refusal(f.ask(instance, 2).await), BackupRefusal::LimitReached(2));
    assert_eq!(refusal(f.ask(instance, 0).await), BackupRefusal::LimitReached(0));
    f.ask(instance, 3).await.unwrap();
}

#[tokio::test]
async fn a_failure_of_another_kind_says_nothing_about_the_backup() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let id = f.made(instance, 2).await;
    f.used(instance, id, Use::Restore, Some(Failure::new("agent_unreachable", "away"))).await;
    let backup = f.backup(id).await;
    assert_eq!((backup.state, backup.verify_failure), (BackupState::Available, None));
    let there = instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!((there.lifecycle, there.active_operation), (Lifecycle::Active, None));
    assert!(!there.ports.is_empty(), "a failed restore gives nothing back");
    f.used(instance, id, Use::Verify, None).await;
    assert!(f.backup(id).await.verified_at.is_some());
}

#[tokio::test]
async fn a_failed_backup_leaves_the_server_as_it_was_and_waits_for_the_sweep() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let id = f.failed(instance).await;
    let there = instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!((there.lifecycle, there.active_operation), (Lifecycle::Active, None));
    let waiting = backups::unreconciled(&f.worker, None, 10).await.unwrap();
    assert_eq!(waiting.iter().map(|it| it.id).collect::<Vec<_>>(), [id]);
    assert!(backups::unreconciled(&f.worker, Some(id), 10).await.unwrap().is_empty());
    backups::mark_reconciled(&f.worker, id).await.unwrap();
    assert!(backups::unreconciled(&f.worker, None, 10).await.unwrap().is_empty());
    assert_eq!(f.backup(id).await.state, BackupState::Failed);
}

#[tokio::test]
async fn a_failed_backup_is_reconciled_by_one_at_a_time() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let (id, operation) = f.ask(instance, 5).await.unwrap();
    let begin = || async { backups::begin_reconciliation(&f.worker, id).await.unwrap() };
    // Whoever has the lease of one that is being made needs no other leave.
    let first = begin().await.expect("to be reconciled");
    assert_eq!((first.backup.id, first.made_by), (id, Some(operation)));
    assert!(begin().await.is_some());
    assert_eq!(backups::unreconciled_of(&f.worker, operation).await.unwrap(), None);
    backups::end_reconciliation(&f.worker, id).await.unwrap();
    let claim = testing::claim(&f.worker, operation, "w").await.unwrap().unwrap();
    let failure = Failure::new("x", "y");
    operations::undone(&f.worker, &claim.lease, OperationKind::Backup, &failure, BY).await.unwrap();
    assert_eq!(backups::unreconciled_of(&f.worker, operation).await.unwrap(), Some(id));

    assert!(begin().await.is_some());
    assert!(begin().await.is_none(), "another is about it");
    f.database.execute("UPDATE backups SET reconciling_until = now() - interval '1 second'").await;
    assert!(begin().await.is_some(), "the other one died");
    backups::end_reconciliation(&f.worker, id).await.unwrap();
    assert!(begin().await.is_some());
    assert!(backups::found(&f.worker, id, &facts(7), BY).await.unwrap());
    backups::end_reconciliation(&f.worker, id).await.unwrap();
    assert!(begin().await.is_none(), "it is available: nothing is to be reconciled");
    assert_eq!(backups::unreconciled_of(&f.worker, operation).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_backup_stays_damaged_when_its_restore_was_stuck_in_between() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let id = f.made(instance, 5).await;
    let asked = asked(f.customer, instance);
    backups::request_use(&f.api, &asked, id, Use::Restore, now()).await.unwrap();
    let claim = testing::claim(&f.worker, asked.operation, "w").await.unwrap().unwrap();
    let damaged = Failure::new(domain::backup::CORRUPT_CODE, "it is damaged");
    operations::begin_undo(&f.worker, &claim.lease, &damaged).await.unwrap();
    let left = Failure::new("undo_failed", "cleaning up failed");
    operations::park_stuck(&f.worker, &claim.lease, &left, BY).await.unwrap();
    let stuck = operations::get(&f.api, f.customer, asked.operation).await.unwrap().unwrap();
    assert_eq!(
        (stuck.failure.as_ref(), stuck.step_detail.as_deref()),
        (Some(&damaged), Some("cleaning up failed"))
    );
    let resumed = operations::resume_stuck(&f.worker, asked.operation, By::itself("operator:test"), "mended")
        .await
        .unwrap();
    assert!(resumed.is_some());
    let claim = testing::claim(&f.worker, asked.operation, "w").await.unwrap().unwrap();
    let reason = claim.operation.failure.clone().unwrap();
    operations::undone(&f.worker, &claim.lease, OperationKind::Restore, &reason, BY).await.unwrap();
    assert_eq!(f.backup(id).await.verify_failure.map(|it| it.message), Some("it is damaged".into()));
}

#[tokio::test]
async fn a_backup_that_was_found_again_is_available_and_older_ones_give_way() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let old: Vec<_> = [f.made(instance, 5).await, f.made(instance, 5).await].into();
    let (id, operation) = f.ask(instance, 1).await.unwrap();
    let claim = testing::claim(&f.worker, operation, "w").await.unwrap().unwrap();
    // Found while it was undone: its operation fails, and it stays.
    assert!(backups::found(&f.worker, id, &facts(7), BY).await.unwrap());
    let failure = Failure::new("interrupted", "y");
    operations::undone(&f.worker, &claim.lease, OperationKind::Backup, &failure, BY).await.unwrap();
    let there = operations::get(&f.api, f.customer, operation).await.unwrap().unwrap();
    assert_eq!(there.state, OperationState::Failed);
    let found = f.backup(id).await;
    assert_eq!((found.state, found.facts), (BackupState::Available, Some(facts(7))));
    assert_eq!(f.states(&old).await, [BackupState::Deleting, BackupState::Deleting]);
    assert!(!backups::found(&f.worker, id, &facts(8), BY).await.unwrap(), "once");
    assert!(
        !backups::found(&f.worker, old[0], &facts(8), BY).await.unwrap(),
        "what is being removed stays so"
    );
    let failed = f.failed(instance).await;
    assert!(backups::found(&f.worker, failed, &facts(9), BY).await.unwrap(), "after its operation as well");
}

#[tokio::test]
async fn what_is_locked_or_in_use_is_not_removed_and_what_is_gone_is_not_listed() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let id = f.made(instance, 2).await;
    let ask = || asked(f.customer, instance);
    let lock = |locked| Edit { name: Some("kept"), locked: Some(locked) };
    assert!(backups::edit(&f.api, f.customer, instance, id, lock(true)).await.unwrap());
    let removal = backups::request_removal(&f.api, &ask(), id).await.unwrap();
    assert_eq!(removal, RemoveOutcome::Refused(BackupRefusal::Locked));
    assert!(backups::edit(&f.api, f.customer, instance, id, lock(false)).await.unwrap());
    let using = ask();
    backups::request_use(&f.api, &using, id, Use::Restore, now()).await.unwrap();
    let removal = backups::request_removal(&f.api, &ask(), id).await.unwrap();
    assert_eq!(removal, RemoveOutcome::Refused(BackupRefusal::Busy(using.operation)));
    let claim = testing::claim(&f.worker, using.operation, "w").await.unwrap().unwrap();
    backups::restore_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    // The last good one may go when its owner says so.
    for _ in 0..2 {
        let removal = backups::request_removal(&f.api, &ask(), id).await.unwrap();
        assert_eq!(removal, RemoveOutcome::Removing);
    }
    let refused = backups::request_use(&f.api, &ask(), id, Use::Restore, now()).await;
    assert_eq!(refusal(refused), BackupRefusal::NotAvailable(BackupState::Deleting));
    assert!(!backups::edit(&f.api, f.customer, instance, id, lock(true)).await.unwrap());
    assert_eq!(backups::unreconciled(&f.worker, None, 10).await.unwrap().len(), 1);
    backups::mark_removed(&f.worker, id).await.unwrap();
    assert_eq!(backups::get(&f.api, f.customer, instance, id).await.unwrap(), None);
    let removal = backups::request_removal(&f.api, &ask(), id).await.unwrap();
    assert_eq!(removal, RemoveOutcome::Absent);
}

#[tokio::test]
async fn the_same_key_is_the_same_backup() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let with_key = |hash: u8| BackupRequest { key: Some(("k", [hash; 32])), ..asked(f.customer, instance) };
    let first = with_key(1);
    assert!(matches!(backups::request(&f.api, &first, &new(3), now()).await, Ok(Requested::New(_))));
    let again = backups::request(&f.api, &with_key(1), &new(3), now()).await.unwrap();
    assert_eq!(again, Requested::Replayed(first.operation));
    let other = backups::request(&f.api, &with_key(2), &new(3), now()).await;
    assert!(matches!(other, Err(RequestError::KeyReused)), "{other:?}");
    let later = backups::request(&f.api, &with_key(2), &new(3), now() + TimeDelta::hours(25)).await;
    assert!(matches!(refusal(later), BackupRefusal::Busy(_)), "the key is forgotten after a day");
    assert_eq!(f.database.count("SELECT count(*) FROM backups").await, 1);
}

#[tokio::test]
async fn a_refused_request_may_be_made_again_at_once_with_its_key() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    f.ask(instance, 3).await.unwrap();
    let refused = BackupRequest { key: Some(("k", [1; 32])), ..asked(f.customer, instance) };
    for _ in 0..50 {
        let answer = backups::request(&f.api, &refused, &new(3), now()).await;
        assert!(matches!(refusal(answer), BackupRefusal::Busy(_)));
    }
}

#[tokio::test]
async fn an_instance_takes_its_backups_with_it() {
    let f = Fixture::new().await;
    let (instance, other) = (f.active().await, f.active().await);
    let ids = [f.made(instance, 5).await, f.made(instance, 5).await, f.failed(instance).await];
    let kept = f.made(other, 5).await;
    let lock = Edit { name: None, locked: Some(true) };
    assert!(backups::edit(&f.api, f.customer, instance, ids[0], lock).await.unwrap());
    let operation = OperationId::generate();
    let delete = DeleteRequest { customer: f.customer, instance, operation, actor: "test", request_id: None };
    instances::request_delete(&f.api, &delete, now()).await.unwrap();
    assert_eq!(f.backup(ids[1]).await.state, BackupState::Available, "until the server is gone");
    let claim = testing::claim(&f.worker, operation, "w").await.unwrap().unwrap();
    operations::delete_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    assert_eq!(f.states(&ids).await, [BackupState::Deleting; 3]);
    assert_eq!(f.backup(kept).await.state, BackupState::Available);
}

#[tokio::test]
async fn a_stale_lease_writes_nothing_about_a_backup() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let (id, operation) = f.ask(instance, 3).await.unwrap();
    let old = testing::claim(&f.worker, operation, "old").await.unwrap().unwrap();
    operations::release(&f.worker, &old.lease).await.unwrap();
    testing::claim(&f.worker, operation, "new").await.unwrap().unwrap();
    let (db, lease, failure) = (&f.worker, &old.lease, Failure::new("backup_corrupt", "y"));
    let writes = [
        backups::save_upload(db, lease, "theirs").await,
        backups::save_facts(db, lease, &facts(1)).await,
        backups::backup_succeeded(db, lease, BY).await,
        backups::backup_failed(db, lease, &failure, BY).await,
        backups::use_failed(db, lease, &failure, BY).await,
        backups::restore_succeeded(db, lease, BY).await,
        backups::verify_succeeded(db, lease, BY).await,
        backups::owe_start(db, lease, BY).await,
    ];
    for (n, write) in writes.into_iter().enumerate() {
        assert!(matches!(write, Err(StoreError::LeaseLost)), "write {n}: {write:?}");
    }
    let backup = f.backup(id).await;
    assert_eq!((backup.state, backup.upload_id, backup.facts), (BackupState::Running, None, None));
    assert_eq!(backup.verify_failure, None);
}

#[tokio::test]
async fn a_verification_keeps_nobody_from_stopping_the_server() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let id = f.made(instance, 5).await;
    for (wanted, possible) in [(Use::Verify, true), (Use::Restore, false)] {
        let asked = asked(f.customer, instance);
        backups::request_use(&f.api, &asked, id, wanted, now()).await.unwrap();
        let there = instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
        assert_eq!(there.active_operation.map(|it| it.id), Some(asked.operation));
        assert_eq!(there.allows_power(PowerAction::Stop).is_ok(), possible, "{wanted:?}");
        let stop = PowerRequest { customer: f.customer, instance, action: PowerAction::Stop, by: BY };
        let requested = power::request(&f.api, &stop, "test", now()).await.unwrap();
        assert_eq!(requested.is_some(), possible, "{wanted:?}");
        f.database.execute("UPDATE operations SET state = 'succeeded', finished_at = now()").await;
    }
}

#[tokio::test]
async fn the_newest_backup_of_an_idle_server_is_verified_when_its_time_has_come() {
    let f = Fixture::new().await;
    let (instance, held) = (f.active().await, f.active().await);
    let (old, newest) = (f.made(instance, 5).await, f.made(instance, 5).await);
    f.made(held, 5).await;
    let billing = NewHold { instance: held, reason: HoldReason::Billing, note: "n", stop: false, by: BY };
    store::holds::place(&f.database.owner(), &billing, now()).await.unwrap();
    let week = TimeDelta::hours(168);
    let due = async |at| {
        let begun = backups::begin_due_verification(&f.worker, week, at).await.unwrap();
        begun.map(|dispatch| dispatch.row())
    };
    // `finished_at` is the database's clock's.
    let soon = f.backup(newest).await.finished_at.unwrap();
    assert_eq!(due(soon + TimeDelta::hours(167)).await, None);
    let later = soon + TimeDelta::hours(169);
    let (_, busy) = f.ask(instance, 5).await.unwrap();
    assert_eq!(due(later).await, None, "busy");
    let claim = testing::claim(&f.worker, busy, "w").await.unwrap().unwrap();
    let failure = Failure::new("x", "y");
    operations::undone(&f.worker, &claim.lease, OperationKind::Backup, &failure, BY).await.unwrap();
    f.schedule(instance, later + TimeDelta::minutes(29)).await;
    assert_eq!(due(later).await, None, "a schedule would find it busy");
    f.database.execute("UPDATE schedules SET next_run_at = next_run_at + interval '2 minutes'").await;
    let operation = due(later).await.expect("a verification");
    let begun = operations::get(&f.api, f.customer, operation).await.unwrap().unwrap();
    assert_eq!((begun.kind, begun.backup_id), (OperationKind::Verify, Some(newest)));
    assert_ne!(begun.backup_id, Some(old));
    assert_eq!(due(later).await, None, "one at a time");
    // One that came to nothing is not begun again at once.
    let claim = testing::claim(&f.worker, operation, "w").await.unwrap().unwrap();
    operations::undone(&f.worker, &claim.lease, OperationKind::Verify, &failure, BY).await.unwrap();
    assert_eq!(due(later).await, None);
    let operation = due(later + TimeDelta::hours(25)).await.expect("another try, put off for long enough");
    let claim = testing::claim(&f.worker, operation, "w").await.unwrap().unwrap();
    backups::verify_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    assert_eq!(due(f.backup(newest).await.verified_at.unwrap() + TimeDelta::hours(26)).await, None);
}
