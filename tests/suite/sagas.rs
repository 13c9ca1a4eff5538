//! Every step of every saga, with every fault: one container in the end, or nothing at all.

use domain::operation::{MAX_INTERRUPTIONS, OperationKind, OperationState, StepName, StepState};
use integrations::engine::Engine as _;
use runtime::worker::work_once;
use store::{audit::By, operations};
use tokio_util::sync::CancellationToken;
use zlh_tests::{Fault, Plan, Rig, When};

#[tokio::test]
async fn a_create_makes_one_running_server_and_a_delete_leaves_nothing() {
    let rig = Rig::new().await;
    let before = rig.inventory(false).await;
    let (instance, create) = rig.ask_create().await;
    rig.work(create, &Plan::calm()).await;
    assert_eq!(rig.operation(create).await.state, OperationState::Succeeded);
    let there = rig.inventory(true).await;
    assert_eq!((there.live_instances, there.containers, there.publications, there.ports), (1, 1, 1, 2));
    assert!(!there.processes.is_empty() && !there.files.is_empty(), "the inventory sees what it is to see");
    let delete = rig.ask_delete(instance).await;
    rig.work(delete, &Plan::calm()).await;
    assert_eq!(rig.operation(delete).await.state, OperationState::Succeeded);
    assert_eq!(rig.inventory(false).await, before);
}

#[tokio::test]
async fn a_create_that_fails_at_any_step_leaves_nothing() {
    let rig = Rig::new().await;
    let before = rig.inventory(false).await;
    for step in OperationKind::Create.saga().step_names() {
        for fault in [Fault::FailBefore, Fault::FailAfter] {
            if (step, fault) == (StepName::MarkActive, Fault::FailAfter) {
                continue; // Its effect ends the operation: there is nothing left that could fail.
            }
            let (_, create) = rig.ask_create().await;
            let plan = Plan::of(&[(step, When::Apply, fault, 1)]);
            rig.work(create, &plan).await;
            let operation = rig.operation(create).await;
            let place = format!("{step} {fault:?}: {operation:?}");
            assert_eq!(plan.left(), 0, "{place}");
            assert_eq!(operation.state, OperationState::Failed, "{place}");
            assert_eq!(operation.failure.as_ref().map(|f| f.code.as_str()), Some("test_fault"), "{place}");
            assert_eq!(rig.inventory(false).await, before, "{place}");
        }
    }
}

#[tokio::test]
async fn a_create_whose_worker_dies_at_any_step_is_finished_by_another_with_one_container() {
    let rig = Rig::new().await;
    let before = rig.inventory(false).await;
    for step in OperationKind::Create.saga().step_names() {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (instance, create) = rig.ask_create().await;
            let plan = Plan::of(&[(step, When::Apply, fault, 1)]);
            rig.work(create, &plan).await;
            assert_eq!(plan.left(), 0, "{step} {fault:?}");
            if (step, fault) != (StepName::MarkActive, Fault::KillAfter) {
                rig.work(create, &plan).await;
            }
            let operation = rig.operation(create).await;
            let place = format!("{step} {fault:?}: {operation:?}");
            assert_eq!(operation.state, OperationState::Succeeded, "{place}");
            let there = rig.inventory(true).await;
            assert_eq!((there.live_instances, there.containers, there.publications), (1, 1, 1), "{place}");
            let delete = rig.ask_delete(instance).await;
            rig.work(delete, &Plan::calm()).await;
            assert_eq!(rig.inventory(false).await, before, "{place}");
        }
    }
}

#[tokio::test]
async fn a_create_is_undone_after_the_third_interruption_at_any_step() {
    let rig = Rig::new().await;
    let before = rig.inventory(false).await;
    let times = MAX_INTERRUPTIONS.unsigned_abs();
    for step in OperationKind::Create.saga().step_names() {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            if (step, fault) == (StepName::MarkActive, Fault::KillAfter) {
                continue; // Its effect ends the operation.
            }
            let (_, create) = rig.ask_create().await;
            let plan = Plan::of(&[(step, When::Apply, fault, times)]);
            for _ in 0..=times {
                rig.work(create, &plan).await;
            }
            let operation = rig.operation(create).await;
            let code = operation.failure.as_ref().map(|f| f.code.as_str());
            assert_eq!(
                (operation.state, code),
                (OperationState::Failed, Some("interrupted")),
                "{step} {fault:?}"
            );
            assert_eq!(rig.inventory(false).await, before, "{step} {fault:?}");
        }
    }
}

#[tokio::test]
async fn an_undo_that_is_interrupted_at_any_step_is_finished_by_another() {
    let rig = Rig::new().await;
    let before = rig.inventory(false).await;
    for step in OperationKind::Create.saga().step_names() {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (_, create) = rig.ask_create().await;
            let plan = Plan::of(&[
                (StepName::MarkActive, When::Apply, Fault::FailBefore, 1),
                (step, When::Undo, fault, 1),
            ]);
            rig.work(create, &plan).await;
            assert_eq!(rig.operation(create).await.state, OperationState::Undoing, "{step} {fault:?}");
            rig.work(create, &plan).await;
            assert_eq!(rig.operation(create).await.state, OperationState::Failed, "{step} {fault:?}");
            assert_eq!(rig.inventory(false).await, before, "{step} {fault:?}");
        }
    }
}

#[tokio::test]
async fn an_undo_that_fails_at_any_step_is_stuck_and_never_called_clean() {
    let rig = Rig::new().await;
    let before = rig.inventory(false).await;
    for step in OperationKind::Create.saga().step_names() {
        let (instance, create) = rig.ask_create().await;
        let plan = Plan::of(&[
            (StepName::MarkActive, When::Apply, Fault::FailBefore, 1),
            (step, When::Undo, Fault::FailBefore, 3),
        ]);
        rig.work(create, &plan).await;
        let operation = rig.operation(create).await;
        assert_eq!(operation.state, OperationState::Stuck, "{step}");
        let journal = operations::steps(&rig.api, &operation).await.unwrap();
        let failed: Vec<_> = journal.iter().filter(|row| row.state != StepState::Undone).collect();
        assert_eq!(failed.len(), 1, "{step}: the other steps are undone all the same");
        assert_eq!((failed[0].name, failed[0].state), (step, StepState::UndoFailed));
        assert!(failed[0].error.as_ref().is_some_and(|error| error.contains("test_fault")));
        // What it holds is not given away while something may be left.
        assert_eq!(rig.inventory(true).await.ports, before.ports + 2, "{step}");
        let instance = store::instances::get(&rig.api, rig.customer, instance).await.unwrap().unwrap();
        assert_eq!(instance.active_operation.map(|it| it.id), Some(create));
        // A person mends the cause and resumes it.
        assert!(
            operations::resume_stuck(&rig.worker, create, By::itself("operator:test"), "mended")
                .await
                .unwrap()
                .is_some()
        );
        rig.work(create, &plan).await;
        assert_eq!(rig.operation(create).await.state, OperationState::Failed, "{step}");
        assert_eq!(rig.inventory(false).await, before, "{step}");
    }
}

#[tokio::test]
async fn a_delete_with_any_fault_at_any_step_goes_on_until_nothing_is_left() {
    let rig = Rig::new().await;
    let before = rig.inventory(false).await;
    for step in OperationKind::Delete.saga().step_names() {
        for fault in Fault::ALL {
            let (instance, create) = rig.ask_create().await;
            rig.work(create, &Plan::calm()).await;
            let delete = rig.ask_delete(instance).await;
            let plan = Plan::of(&[(step, When::Apply, fault, 1)]);
            rig.work(delete, &plan).await;
            let first = rig.operation(delete).await;
            let ended_already = step == StepName::MarkDeleted && fault == Fault::KillAfter;
            if step == StepName::MarkDeleted && fault == Fault::FailAfter {
                // Its effect ended the operation; the failure finds no lease to write under.
                assert_eq!(first.state, OperationState::Succeeded);
            } else if !ended_already {
                assert_eq!(first.state, OperationState::Running, "{step} {fault:?}: {first:?}");
                assert_eq!(first.interruptions, 0);
                rig.work(delete, &plan).await;
            }
            let operation = rig.operation(delete).await;
            assert_eq!(operation.state, OperationState::Succeeded, "{step} {fault:?}: {operation:?}");
            assert_eq!(operation.interruptions > 0, fault.kills() && !ended_already, "{step} {fault:?}");
            assert_eq!(rig.inventory(false).await, before, "{step} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_delete_that_never_succeeds_is_stuck_loudly() {
    let rig = Rig::new().await;
    let (instance, create) = rig.ask_create().await;
    rig.work(create, &Plan::calm()).await;
    let delete = rig.ask_delete(instance).await;
    let plan = Plan::of(&[(StepName::StopContainer, When::Apply, Fault::FailBefore, u32::MAX)]);
    for _ in 0..=domain::operation::MAX_FORWARD_ATTEMPTS {
        assert!(rig.operation(delete).await.state.is_claimable());
        rig.work(delete, &plan).await;
    }
    assert_eq!(rig.operation(delete).await.state, OperationState::Stuck);
    assert_eq!(rig.inventory(true).await.containers, 1);
    assert!(
        operations::resume_stuck(&rig.worker, delete, By::itself("operator:test"), "mended")
            .await
            .unwrap()
            .is_some()
    );
    rig.work(delete, &Plan::calm()).await;
    assert_eq!(rig.operation(delete).await.state, OperationState::Succeeded);
    assert_eq!(rig.inventory(false).await.containers, 0);
}

#[tokio::test]
async fn each_node_is_served_by_its_own_engine() {
    let mut rig = Rig::new().await;
    let (first, create) = rig.ask_create().await;
    rig.work(create, &Plan::calm()).await;
    let without_second = rig.runner(&Plan::calm());
    let engine = rig.add_node("second").await;
    let before = rig.inventory(true).await;
    let (second, create) = rig.ask_create().await;

    let claimed = work_once(&without_second, create, "w", &CancellationToken::new()).await.unwrap();
    assert!(!claimed, "a worker without the node's engine leaves the operation alone");
    rig.work(create, &Plan::calm()).await;
    assert_eq!(rig.operation(create).await.state, OperationState::Succeeded);
    for (engine, instance) in [(&rig.engine, first), (&engine, second)] {
        let there = engine.list().await.unwrap().iter().map(|it| it.instance_id).collect::<Vec<_>>();
        assert_eq!(there, [instance]);
    }

    let delete = rig.ask_delete(second).await;
    rig.work(delete, &Plan::calm()).await;
    assert_eq!(rig.operation(delete).await.state, OperationState::Succeeded);
    let after = rig.inventory(true).await;
    assert_eq!(
        (after.containers, after.ports, after.publications, after.capacity),
        (before.containers, before.ports, before.publications, before.capacity)
    );
    assert_eq!(rig.engine.list().await.unwrap().len(), 1);
}
