//! Backups with every fault at every step: the server's files are the old ones or the restored ones, never something
//! between; the storage has the objects of the backups that are available, and nothing else.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use domain::{
    agent::{
        AgentState, BACKUP_PART_BYTES, BackupHooks, BackupTask, BackupTaskState, BackupWork, PowerAction,
    },
    backup::BackupState,
    ids::InstanceId,
    operation::{MAX_INTERRUPTIONS, OperationKind, OperationState, StepName},
};
use integrations::objects::ObjectStore as _;
use store::{
    audit::By,
    backups::{self, Use},
    operations, testing,
};
use zlh_tests::{Fault, Plan, Rig, When, as_the_container, differences};

/// Changes, adds and removes files, as a customer or a broken plugin does.
fn damage(data: &Path, how: &str) {
    fs::write(data.join("notes.txt"), format!("damaged by {how}")).unwrap();
    fs::write(data.join("new.txt"), how).unwrap();
    fs::set_permissions(data.join("notes.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    let region = data.join("world/region/r.0.0");
    if region.exists() {
        fs::remove_file(region).unwrap();
    }
    as_the_container(data);
}

/// What must hold whenever no operation is under way.
async fn expect_calm(rig: &Rig, instance: InstanceId, place: &str) {
    rig.expect_storage_to_match(place).await;
    assert_eq!(rig.left_in_container(instance).await, Vec::<String>::new(), "{place}");
    let there = rig.inventory(true).await;
    assert_eq!((there.live_instances, there.containers, there.publications), (1, 1, 1), "{place}");
    assert_eq!(there.active_operations, 0, "{place}");
    let row = store::instances::get(&rig.api, rig.customer, instance).await.unwrap().unwrap();
    assert_eq!(row.lifecycle.as_str(), "active", "{place}");
}

#[tokio::test]
async fn a_backup_that_gets_no_further_is_given_up_whatever_its_agent_says() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    rig.hold_storage.send_replace(true);
    let (id, operation) = rig.ask_backup(instance, 1_000).await;
    rig.work(operation, &Plan::calm()).await;
    rig.hold_storage.send_replace(false);
    let ended = rig.operation(operation).await;
    assert_eq!(ended.state, OperationState::Failed);
    assert_eq!(ended.failure.unwrap().code, "backup_stalled");
    let backup = backups::get_for_work(&rig.worker, id).await.unwrap().unwrap();
    assert_eq!(backup.state, BackupState::Failed);
    let (_, operation) = rig.ask_backup(instance, 1_000).await;
    rig.work(operation, &Plan::calm()).await;
    assert_eq!(rig.operation(operation).await.state, OperationState::Succeeded);
    expect_calm(&rig, instance, "afterwards").await;
}

#[tokio::test]
async fn a_backup_that_is_cancelled_while_it_is_made_leaves_nothing() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    rig.hold_storage.send_replace(true);
    let (id, operation) = rig.ask_backup(instance, 1_000).await;
    let calm = Plan::calm();
    let cancel = async {
        while rig.operation(operation).await.step_detail.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let under_way = rig.operation(operation).await;
        let by = By::itself("test");
        let cancelled = operations::cancel(&rig.api, &under_way, by).await.unwrap();
        assert_eq!(cancelled, operations::Cancelled::Requested);
    };
    tokio::join!(rig.work(operation, &calm), cancel);
    rig.hold_storage.send_replace(false);
    let ended = rig.operation(operation).await;
    assert_eq!(ended.failure.unwrap().code, "cancelled");
    assert_eq!(rig.backup(id).await.state, BackupState::Failed);
    rig.made(instance).await;
    expect_calm(&rig, instance, "afterwards").await;
}

#[tokio::test]
async fn a_backup_with_any_fault_at_any_step_is_complete_or_leaves_nothing() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let before = rig.tree(instance);
    for step in OperationKind::Backup.saga().step_names() {
        for fault in Fault::ALL {
            let (id, operation) = rig.ask_backup(instance, 1_000).await;
            let plan = Plan::of(&[(step, When::Apply, fault, 1)]);
            rig.work(operation, &plan).await;
            let place = format!("{step} {fault:?}");
            assert_eq!(plan.left(), 0, "{place}");
            if rig.operation(operation).await.state.is_active() {
                rig.work(operation, &plan).await;
            }
            let ended = rig.operation(operation).await;
            let last_took_effect = step == StepName::MarkBackedUp && fault == Fault::FailAfter;
            let failed = !fault.kills() && !last_took_effect;
            let wanted = if failed { OperationState::Failed } else { OperationState::Succeeded };
            assert_eq!(ended.state, wanted, "{place}: {ended:?}");
            // What was complete stays, although its operation failed.
            let nothing_made = (step, fault) == (StepName::StoreArchive, Fault::FailBefore);
            let wanted = if nothing_made { BackupState::Failed } else { BackupState::Available };
            assert_eq!(rig.backup(id).await.state, wanted, "{place}");
            expect_calm(&rig, instance, &place).await;
            assert_eq!(differences(&before, &rig.tree(instance)), [""; 0], "{place}");
            rig.expect_state(instance, AgentState::Running, &place).await;
        }
    }
}

#[tokio::test]
async fn a_backup_that_is_interrupted_too_often_is_found_if_it_was_complete() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let times = MAX_INTERRUPTIONS.unsigned_abs();
    for (fault, wanted) in
        [(Fault::KillBefore, BackupState::Failed), (Fault::KillAfter, BackupState::Available)]
    {
        let (id, operation) = rig.ask_backup(instance, 1_000).await;
        let plan = Plan::of(&[(StepName::StoreArchive, When::Apply, fault, times)]);
        for _ in 0..=times {
            rig.work(operation, &plan).await;
        }
        let ended = rig.operation(operation).await;
        assert_eq!(ended.failure.map(|failure| failure.code).as_deref(), Some("interrupted"), "{fault:?}");
        assert_eq!(rig.backup(id).await.state, wanted, "{fault:?}");
        rig.sweep_once().await;
        expect_calm(&rig, instance, &format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_restore_with_any_fault_at_any_step_has_all_of_the_old_files_or_all_of_the_new() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let backup = rig.made(instance).await;
    let kept = rig.tree(instance);
    for step in OperationKind::Restore.saga().step_names() {
        for fault in Fault::ALL {
            let place = format!("{step} {fault:?}");
            damage(&rig.data(instance), &place);
            let damaged = rig.tree(instance);
            assert_ne!(differences(&kept, &damaged), [""; 0]);
            let operation = rig.ask_use(instance, backup, Use::Restore).await;
            let plan = Plan::of(&[(step, When::Apply, fault, 1)]);
            rig.work(operation, &plan).await;
            assert_eq!(plan.left(), 0, "{place}");
            if rig.operation(operation).await.state.is_active() {
                rig.work(operation, &plan).await;
            }
            let ended = rig.operation(operation).await;
            // Once its last step has begun it only goes forward.
            let failed = !fault.kills() && step != StepName::MarkRestored;
            let wanted = if failed { OperationState::Failed } else { OperationState::Succeeded };
            assert_eq!(ended.state, wanted, "{place}: {ended:?}");
            let wanted = if failed { &damaged } else { &kept };
            assert_eq!(differences(wanted, &rig.tree(instance)), [""; 0], "{place}");
            rig.expect_state(instance, AgentState::Running, &place).await;
            expect_calm(&rig, instance, &place).await;
        }
    }
}

#[tokio::test]
async fn undoing_a_restore_that_is_interrupted_at_any_step_is_finished_by_another() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let backup = rig.made(instance).await;
    let steps = [StepName::StageBackup, StepName::PauseService, StepName::SwapFiles, StepName::ResumeService];
    for step in steps {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let place = format!("{step} {fault:?}");
            damage(&rig.data(instance), &place);
            let damaged = rig.tree(instance);
            let operation = rig.ask_use(instance, backup, Use::Restore).await;
            let plan = Plan::of(&[
                (StepName::ResumeService, When::Apply, Fault::FailAfter, 1),
                (step, When::Undo, fault, 1),
            ]);
            rig.work(operation, &plan).await;
            assert_eq!(rig.operation(operation).await.state, OperationState::Undoing, "{place}");
            rig.work(operation, &plan).await;
            assert_eq!(rig.operation(operation).await.state, OperationState::Failed, "{place}");
            assert_eq!(differences(&damaged, &rig.tree(instance)), [""; 0], "{place}");
            rig.expect_state(instance, AgentState::Running, &place).await;
            expect_calm(&rig, instance, &place).await;
        }
    }
}

#[tokio::test]
async fn a_restore_whose_files_cannot_be_put_back_leaves_the_server_down_until_they_are() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let backup = rig.made(instance).await;
    damage(&rig.data(instance), "somebody");
    let damaged = rig.tree(instance);
    let operation = rig.ask_use(instance, backup, Use::Restore).await;
    let plan = Plan::of(&[
        (StepName::ResumeService, When::Apply, Fault::FailAfter, 1),
        (StepName::SwapFiles, When::Undo, Fault::FailBefore, 3),
    ]);
    rig.work(operation, &plan).await;
    let stuck = rig.operation(operation).await;
    assert_eq!(stuck.state, OperationState::Stuck);
    assert_eq!(stuck.failure.map(|failure| failure.code).as_deref(), Some("test_fault"), "the first reason");
    assert_eq!(rig.agent_state(instance).await, AgentState::Stopped, "nobody plays on files that go away");
    assert!(
        operations::resume_stuck(&rig.worker, operation, By::itself("operator:test"), "mended")
            .await
            .unwrap()
            .is_some()
    );
    rig.work(operation, &plan).await;
    assert_eq!(rig.operation(operation).await.state, OperationState::Failed);
    assert_eq!(differences(&damaged, &rig.tree(instance)), [""; 0]);
    rig.expect_state(instance, AgentState::Running, "put back").await;
    expect_calm(&rig, instance, "put back").await;
}

#[tokio::test]
async fn a_restore_is_undone_after_the_third_interruption_unless_the_old_files_may_be_gone() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let backup = rig.made(instance).await;
    let kept = rig.tree(instance);
    let times = MAX_INTERRUPTIONS.unsigned_abs();
    for (step, forward) in [(StepName::SwapFiles, false), (StepName::MarkRestored, true)] {
        damage(&rig.data(instance), step.as_str());
        let damaged = rig.tree(instance);
        let operation = rig.ask_use(instance, backup, Use::Restore).await;
        let plan = Plan::of(&[(step, When::Apply, Fault::KillBefore, times)]);
        for _ in 0..=times {
            rig.work(operation, &plan).await;
        }
        let ended = rig.operation(operation).await;
        let wanted = if forward { OperationState::Succeeded } else { OperationState::Failed };
        assert_eq!(ended.state, wanted, "{step}: {ended:?}");
        let wanted = if forward { &kept } else { &damaged };
        assert_eq!(differences(wanted, &rig.tree(instance)), [""; 0], "{step}");
        expect_calm(&rig, instance, step.as_str()).await;
    }
}

#[tokio::test]
async fn a_verification_with_any_fault_changes_nothing() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let backup = rig.made(instance).await;
    let before = rig.tree(instance);
    for step in OperationKind::Verify.saga().step_names() {
        for fault in Fault::ALL {
            let place = format!("{step} {fault:?}");
            let operation = rig.ask_use(instance, backup, Use::Verify).await;
            let plan = Plan::of(&[(step, When::Apply, fault, 1)]);
            rig.work(operation, &plan).await;
            if rig.operation(operation).await.state.is_active() {
                rig.work(operation, &plan).await;
            }
            let ended = rig.operation(operation).await;
            let last_took_effect = step == StepName::MarkVerified && fault == Fault::FailAfter;
            let failed = !fault.kills() && !last_took_effect;
            let wanted = if failed { OperationState::Failed } else { OperationState::Succeeded };
            assert_eq!(ended.state, wanted, "{place}: {ended:?}");
            assert_eq!(differences(&before, &rig.tree(instance)), [""; 0], "{place}");
            assert_eq!(rig.backup(backup).await.verify_failure, None, "{place}");
            expect_calm(&rig, instance, &place).await;
        }
    }
    assert!(rig.backup(backup).await.verified_at.is_some());
}

#[tokio::test]
async fn a_damaged_backup_is_refused_before_anything_is_touched() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let id = rig.made(instance).await;
    let archive = rig.storage().join("objects").join(rig.backup(id).await.archive_key());
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    damage(&rig.data(instance), "somebody");
    let before = rig.tree(instance);
    let agent = rig.agent(instance).await;
    let running = agent.status(None, Duration::ZERO).await.unwrap();
    let operation = rig.ask_use(instance, id, Use::Restore).await;
    rig.work(operation, &Plan::calm()).await;
    let ended = rig.operation(operation).await;
    let code = ended.failure.as_ref().map(|failure| failure.code.as_str());
    assert_eq!((ended.state, code), (OperationState::Failed, Some("backup_corrupt")), "{ended:?}");
    assert_eq!(differences(&before, &rig.tree(instance)), [""; 0]);
    let still = agent.status(None, Duration::ZERO).await.unwrap();
    assert_eq!(
        (still.state, still.revision),
        (running.state, running.revision),
        "the server was not stopped"
    );
    assert!(rig.backup(id).await.verify_failure.is_some(), "it says so from now on");
    assert_eq!(rig.left_in_container(instance).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_was_stopped_stays_so_and_one_on_hold_is_not_started() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let backup = rig.made(instance).await;
    let kept = rig.tree(instance);
    let stop = format!("UPDATE instances SET desired_power = 'stopped' WHERE id = '{instance}'");
    rig.database.execute(&stop).await;
    rig.agent(instance).await.power(PowerAction::Stop).await.unwrap();
    rig.expect_state(instance, AgentState::Stopped, "stopped").await;
    damage(&rig.data(instance), "x");
    let operation = rig.ask_use(instance, backup, Use::Restore).await;
    rig.work(operation, &Plan::calm()).await;
    assert_eq!(rig.operation(operation).await.state, OperationState::Succeeded);
    assert_eq!(differences(&kept, &rig.tree(instance)), [""; 0]);
    assert_eq!(rig.agent_state(instance).await, AgentState::Stopped);
    // A hold that comes while the restore is under way.
    let start = format!("UPDATE instances SET desired_power = 'running' WHERE id = '{instance}'");
    rig.database.execute(&start).await;
    let operation = rig.ask_use(instance, backup, Use::Restore).await;
    let hold = domain::instance::HoldReason::Billing;
    let now = rig.backup(backup).await.created_at;
    let hold = store::holds::NewHold { instance, reason: hold, note: "n", stop: false, by: By::itself("o") };
    store::holds::place(&rig.database.owner(), &hold, now).await.unwrap();
    rig.work(operation, &Plan::calm()).await;
    assert_eq!(rig.operation(operation).await.state, OperationState::Succeeded);
    assert_eq!(rig.agent_state(instance).await, AgentState::Stopped, "a hold keeps it stopped");
}

/// Lets the agent make the whole backup as if a worker had asked for it and died.
async fn made_while_nobody_looked(
    rig: &Rig,
    instance: InstanceId,
) -> (domain::ids::BackupId, domain::ids::OperationId) {
    let (id, operation) = rig.ask_backup(instance, 1_000).await;
    let dead = testing::claim(&rig.worker, operation, "dead").await.unwrap().unwrap();
    operations::begin_step(&rig.worker, &dead.lease, OperationKind::Backup, StepName::StoreArchive)
        .await
        .unwrap();
    let row = rig.backup(id).await;
    let upload = rig.objects.begin_upload(&row.archive_key()).await.unwrap();
    backups::save_upload(&rig.worker, &dead.lease, &upload.0).await.unwrap();
    let hour = Duration::from_hours(1);
    let work = BackupWork::Create {
        ignore: Vec::new(),
        hooks: BackupHooks::default(),
        part_bytes: BACKUP_PART_BYTES,
        first_part: 1,
        parts: vec![rig.objects.part_url(&row.archive_key(), &upload, 1, hour).unwrap()],
        manifest: rig.objects.put_url(&row.manifest_key(), hour).unwrap(),
    };
    let agent = rig.agent(instance).await;
    let mut status = agent.backup_put(&BackupTask { task: operation.0, backup: id, work }).await.unwrap();
    while status.state == BackupTaskState::Running {
        let next = agent.backup_status(Some(status.revision), Duration::from_secs(5)).await.unwrap();
        status = next.unwrap();
    }
    assert_eq!(status.state, BackupTaskState::Succeeded, "{status:?}");
    let expire =
        format!("UPDATE operations SET lease_expires_at = now() - interval '1 s' WHERE id = '{operation}'");
    rig.database.execute(&expire).await;
    (id, operation)
}

#[tokio::test]
async fn a_backup_that_was_finished_while_the_worker_was_away_is_not_made_again() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let (id, operation) = made_while_nobody_looked(&rig, instance).await;
    let agent = rig.agent(instance).await;
    let before = agent.backup_status(None, Duration::ZERO).await.unwrap().unwrap();
    fs::write(rig.data(instance).join("later.txt"), "not in it").unwrap();
    as_the_container(&rig.data(instance));
    rig.work(operation, &Plan::calm()).await;
    assert_eq!(rig.operation(operation).await.state, OperationState::Succeeded);
    let after = agent.backup_status(None, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(after.revision, before.revision, "the agent was asked for nothing more");
    let made = rig.backup(id).await;
    assert_eq!((made.state, made.facts), (BackupState::Available, before.facts));
    expect_calm(&rig, instance, "taken over").await;
}

/// A backup that is complete, whose operation failed as if its undo had reached neither agent nor storage, so long ago.
async fn lost(rig: &Rig, instance: InstanceId, ago: &str) -> domain::ids::BackupId {
    let (id, operation) = made_while_nobody_looked(rig, instance).await;
    let lose = format!(
        "UPDATE operations SET state = 'failed', failure_code = 'x', failure_message = 'x',
                finished_at = now() - interval '{ago}', lease_owner = NULL, lease_expires_at = NULL
         WHERE id = '{operation}';
         UPDATE backups SET state = 'failed', finished_at = now() - interval '{ago}' WHERE id = '{id}'"
    );
    rig.database.execute(&lose).await;
    id
}

#[tokio::test]
async fn a_lost_backup_is_found_before_its_agent_does_anything_else_and_however_late_it_is_asked() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let late = lost(&rig, instance, "3 days").await;
    rig.sweep_once().await;
    assert_eq!(rig.backup(late).await.state, BackupState::Available, "asked by a sweep after days");
    for next in [OperationKind::Backup, OperationKind::Verify, OperationKind::Restore] {
        let id = lost(&rig, instance, "1 second").await;
        let operation = match next {
            OperationKind::Backup => rig.ask_backup(instance, 1_000).await.1,
            OperationKind::Verify => rig.ask_use(instance, late, Use::Verify).await,
            _ => rig.ask_use(instance, late, Use::Restore).await,
        };
        rig.work(operation, &Plan::calm()).await;
        assert_eq!(rig.operation(operation).await.state, OperationState::Succeeded, "{next}");
        assert_eq!(rig.backup(id).await.state, BackupState::Available, "{next}");
        expect_calm(&rig, instance, next.as_str()).await;
    }
}

#[tokio::test]
async fn what_an_agent_still_works_at_for_an_operation_that_is_over_is_ended_by_the_next_one() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let id = rig.made(instance).await;
    for next in [OperationKind::Backup, OperationKind::Verify] {
        let agent = rig.agent(instance).await;
        // It waits for addresses that nobody gives it.
        let work = BackupWork::Create {
            ignore: Vec::new(),
            hooks: BackupHooks::default(),
            part_bytes: BACKUP_PART_BYTES,
            first_part: 1,
            parts: Vec::new(),
            manifest: "http://127.0.0.1:9/manifest".to_owned(),
        };
        let orphan = BackupTask { task: domain::ids::OperationId::generate().0, backup: id, work };
        assert_eq!(agent.backup_put(&orphan).await.unwrap().state, BackupTaskState::Running);
        let operation = match next {
            OperationKind::Backup => rig.ask_backup(instance, 1_000).await.1,
            _ => rig.ask_use(instance, id, Use::Verify).await,
        };
        rig.work(operation, &Plan::calm()).await;
        let ended = rig.operation(operation).await;
        assert_eq!(ended.state, OperationState::Succeeded, "{next}: {ended:?}");
        expect_calm(&rig, instance, next.as_str()).await;
    }
}

#[tokio::test]
async fn a_backup_whose_operation_is_lost_is_found_again_by_the_sweep() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let id = lost(&rig, instance, "1 second").await;
    rig.sweep_once().await;
    assert_eq!(rig.backup(id).await.state, BackupState::Available);
    expect_calm(&rig, instance, "found").await;
    let restore = rig.ask_use(instance, id, Use::Restore).await;
    rig.work(restore, &Plan::calm()).await;
    let ended = rig.operation(restore).await;
    assert_eq!(ended.state, OperationState::Succeeded, "it is a good one: {ended:?}");
}

#[tokio::test]
async fn nothing_is_concluded_from_a_storage_that_is_not_there() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let (_other, kept, gone) = (rig.made(instance).await, rig.made(instance).await, rig.made(instance).await);
    let failed = lost(&rig, instance, "1 second").await;
    let row = format!("UPDATE backups SET state = 'deleting' WHERE id = '{gone}'");
    rig.database.execute(&row).await;
    let elsewhere = tempfile::tempdir_in(rig.storage()).unwrap();
    for folder in ["objects", "uploads"] {
        fs::create_dir(elsewhere.path().join(folder)).unwrap();
        move_all(&rig.storage().join(folder), &elsewhere.path().join(folder));
    }
    rig.sweep_once().await;
    assert_eq!(rig.backup(gone).await.state, BackupState::Deleting);
    assert_eq!(rig.backup(failed).await.state, BackupState::Failed);
    for wanted in [Use::Verify, Use::Restore] {
        let operation = rig.ask_use(instance, kept, wanted).await;
        rig.work(operation, &Plan::calm()).await;
        let code = rig.operation(operation).await.failure.map(|failure| failure.code);
        assert_eq!(code.as_deref(), Some("storage_unreachable"), "{wanted:?}");
        assert_eq!(rig.backup(kept).await.verify_failure, None, "{wanted:?}");
    }
    for folder in ["objects", "uploads"] {
        move_all(&elsewhere.path().join(folder), &rig.storage().join(folder));
    }
    drop(elsewhere);
    rig.sweep_once().await;
    assert_eq!(rig.backup(gone).await.state, BackupState::Deleted);
    assert_eq!(rig.backup(failed).await.state, BackupState::Available);
    expect_calm(&rig, instance, "back again").await;
}

/// As when a disk is taken away, or is there again.
fn move_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::rename(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn what_is_removed_leaves_the_storage_and_a_deleted_server_takes_all_of_it() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let (first, second) = (rig.made(instance).await, rig.made(instance).await);
    // Of the third only one is kept.
    let (third, operation) = rig.ask_backup(instance, 1).await;
    rig.work(operation, &Plan::calm()).await;
    rig.sweep_once().await;
    for (id, wanted) in
        [(first, BackupState::Deleted), (second, BackupState::Deleted), (third, BackupState::Available)]
    {
        assert_eq!(rig.backup(id).await.state, wanted);
    }
    expect_calm(&rig, instance, "retention").await;
    let delete = rig.ask_delete(instance).await;
    rig.work(delete, &Plan::calm()).await;
    assert_eq!(rig.operation(delete).await.state, OperationState::Succeeded);
    rig.sweep_once().await;
    assert_eq!(rig.backup(third).await.state, BackupState::Deleted);
    rig.expect_storage_to_match("deleted").await;
    assert!(rig.objects.list("", None, 10).await.unwrap().is_empty());
}
