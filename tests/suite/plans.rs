//! Changes of plans with every fault at every step: the server runs with the limits of one plan, its row and its node say the same,
//! and its files are as they were.

use domain::{
    agent::AgentState,
    billing::PlanChangeState,
    ids::InstanceId,
    instance::Resources,
    operation::{OperationKind, OperationState, StepName},
};
use integrations::engine::Engine as _;
use store::{
    audit::By,
    billing::plan_changes::{self, NewPlanChange, PlanChange, Size},
};
use zlh_tests::{Fault, Plan, Rig, When, differences};

const SMALL: Resources = Resources { memory_mib: 256, cpu_percent: 100, disk_mib: 1_024 };
const LARGE: Resources = Resources { memory_mib: 512, cpu_percent: 200, disk_mib: 2_048 };

/// Asks for the other plan of the two.
async fn ask(rig: &Rig, instance: InstanceId) -> PlanChange {
    let now = store::instances::get(&rig.api, rig.customer, instance).await.unwrap().unwrap();
    let (plan, resources) = if now.plan == "small" { ("large", LARGE) } else { ("small", SMALL) };
    let new = NewPlanChange {
        customer: rig.customer,
        instance,
        to: Size { plan: plan.into(), resources },
        amendment: None,
        paid_first: None,
        by: By::itself("test"),
    };
    let (id, _) = plan_changes::begin(&rig.api, &new).await.unwrap();
    let change = plan_changes::get(&rig.api, id).await.unwrap().unwrap();
    let _ = plan_changes::start(&rig.api, &change, now.created_at).await.unwrap().expect("an operation");
    plan_changes::get(&rig.api, id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_change_of_plan_with_any_fault_at_any_step_ends_with_one_plan_everywhere() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let files = rig.tree(instance);
    for step in OperationKind::ChangePlan.saga().step_names() {
        for fault in [Fault::FailAfter, Fault::KillBefore, Fault::KillAfter] {
            if step == StepName::MarkPlanChanged && fault != Fault::KillBefore {
                continue; // Its effect ends the operation.
            }
            let place = format!("{step} {fault:?}");
            let change = ask(&rig, instance).await;
            let operation = change.operation.unwrap();
            let plan = Plan::of(&[(step, When::Apply, fault, 1)]);
            rig.work(operation, &plan).await;
            assert_eq!(plan.left(), 0, "{place}");
            if rig.operation(operation).await.state.is_active() {
                rig.work(operation, &plan).await;
            }
            let ended = rig.operation(operation).await;
            let wanted = if fault.kills() { OperationState::Succeeded } else { OperationState::Failed };
            assert_eq!(ended.state, wanted, "{place}: {ended:?}");
            let now = if fault.kills() { &change.to } else { &change.from };
            let row = store::instances::get(&rig.api, rig.customer, instance).await.unwrap().unwrap();
            assert_eq!((&row.plan, row.resources), (&now.plan, now.resources), "{place}");
            let container = rig.engine.inspect(instance).await.unwrap().expect("a container");
            assert_eq!(container.resources, now.resources, "{place}");
            let used = rig
                .database
                .count("SELECT used_memory_mib + used_cpu_percent + used_disk_mib FROM nodes")
                .await;
            let held = now.resources.memory_mib + now.resources.cpu_percent + now.resources.disk_mib;
            assert_eq!(used, i64::from(held), "{place}");
            let ended = plan_changes::get(&rig.api, change.id).await.unwrap().unwrap().state;
            let wanted = if fault.kills() { PlanChangeState::Done } else { PlanChangeState::Failed };
            assert_eq!(ended, wanted, "{place}");
            rig.expect_state(instance, AgentState::Running, &place).await;
            assert_eq!(differences(&files, &rig.tree(instance)), [""; 0], "{place}");
        }
    }
}
