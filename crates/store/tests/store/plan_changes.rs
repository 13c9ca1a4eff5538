//! Changes of plans: room, payment, server and subscription follow one another, and whatever fails leaves what was there before.

use chrono::TimeDelta;
use domain::{
    billing::{AmendedPrice, Amendment, CheckoutState, PlanChangeNext, PlanChangeState},
    ids::InstanceId,
    instance::Resources,
    operation::{Failure, OperationKind, StepName},
};
use store::{
    billing::{
        self, OpenError,
        plan_changes::{self, ChangeError, NewPlanChange, PlanChange, Size},
    },
    operations,
};

use crate::fixture::{BY, Fixture, now};

const SMALL: Resources = Resources { memory_mib: 1_024, cpu_percent: 100, disk_mib: 10_240 };

fn size(plan: &str, memory_mib: u32, cpu_percent: u32) -> Size {
    Size { plan: plan.into(), resources: Resources { memory_mib, cpu_percent, ..SMALL } }
}

fn amendment() -> Amendment {
    let price = |price: &str, before, after| AmendedPrice { price: price.into(), before, after };
    Amendment { subscription: "sub_1".into(), prices: vec![price("small", 1, 0), price("large", 0, 1)] }
}

/// A server of a customer who has a subscription.
async fn subscribed(f: &Fixture) -> InstanceId {
    let instance = f.active().await;
    f.database
        .execute(&format!(
            "INSERT INTO subscriptions (id, customer_id, status, of_record, entitles, currency, created_at)
             VALUES ('sub_1', '{}', 'active', true, true, 'eur', now())",
            f.customer
        ))
        .await;
    instance
}

async fn begin(
    f: &Fixture,
    instance: InstanceId,
    to: Size,
    amendment: Option<&Amendment>,
    paid_first: bool,
) -> Result<PlanChange, ChangeError> {
    let new = NewPlanChange {
        customer: f.customer,
        instance,
        to,
        amendment,
        paid_first: paid_first.then(|| ("eur", now() + TimeDelta::minutes(3))),
        by: BY,
    };
    let (id, _) = plan_changes::begin(&f.api, &new).await?;
    Ok(plan_changes::get(&f.api, id).await.unwrap().unwrap())
}

async fn again(f: &Fixture, change: &PlanChange) -> PlanChange {
    plan_changes::get(&f.api, change.id).await.unwrap().unwrap()
}

async fn pay(f: &Fixture, state: CheckoutState) {
    let checkout = billing::unended(&f.api, f.customer).await.unwrap().unwrap();
    assert!(billing::end_checkout(&f.api, checkout.id, state).await.unwrap());
}

/// Begins its operation, and takes it as a worker does.
async fn claimed(f: &Fixture, change: &PlanChange) -> operations::Claim {
    let _ = plan_changes::start(&f.api, &again(f, change).await, now()).await.unwrap().unwrap();
    let operation = again(f, change).await.operation.unwrap();
    let claim = store::testing::claim(&f.worker, operation, "w").await.unwrap().unwrap();
    assert_eq!(claim.operation.kind, OperationKind::ChangePlan);
    claim
}

async fn room(f: &Fixture) -> (i64, i64) {
    let used = |column| format!("SELECT {column} FROM nodes");
    (f.database.count(&used("used_memory_mib")).await, f.database.count(&used("used_cpu_percent")).await)
}

const FAILED: &str = "resize_failed";

fn failure() -> Failure {
    Failure::new(FAILED, "It did not work.")
}

#[tokio::test]
async fn a_bigger_plan_is_paid_first_and_keeps_its_room_from_the_begin() {
    let f = Fixture::new().await;
    let instance = subscribed(&f).await;
    let change = begin(&f, instance, size("large", 4_096, 400), Some(&amendment()), true).await.unwrap();
    assert_eq!((change.state, change.next()), (PlanChangeState::Paying, PlanChangeNext::Nothing));
    assert_eq!(room(&f).await, (4_096, 400), "it is kept while it is paid");
    assert!(plan_changes::due(&f.api, 10).await.unwrap().is_empty());
    let twice = begin(&f, instance, size("medium", 2_048, 200), None, false).await;
    assert!(matches!(twice, Err(ChangeError::UnderWay(it)) if it.id == change.id));

    pay(&f, CheckoutState::Completed).await;
    assert_eq!(again(&f, &change).await.next(), PlanChangeNext::Begin);
    let claim = claimed(&f, &change).await;
    operations::begin_step(&f.worker, &claim.lease, OperationKind::ChangePlan, StepName::MarkPlanChanged)
        .await
        .unwrap();
    plan_changes::changed(&f.worker, &claim.lease, BY).await.unwrap();
    let server = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!((server.plan.as_str(), server.resources.memory_mib), ("large", 4_096));
    assert_eq!((again(&f, &change).await.state, room(&f).await), (PlanChangeState::Done, (4_096, 400)));
    begin(&f, instance, size("medium", 2_048, 200), None, false).await.unwrap();
}

#[tokio::test]
async fn what_is_not_paid_or_does_not_work_leaves_plan_room_and_money_as_they_were() {
    let f = Fixture::new().await;
    let instance = subscribed(&f).await;
    let before = room(&f).await;
    for state in [CheckoutState::Failed, CheckoutState::Expired] {
        let change = begin(&f, instance, size("large", 4_096, 400), Some(&amendment()), true).await.unwrap();
        pay(&f, state).await;
        let change = again(&f, &change).await;
        assert_eq!(change.next(), PlanChangeNext::GiveUp);
        assert!(plan_changes::give_up(&f.api, &change, &failure(), false).await.unwrap());
        assert!(!plan_changes::give_up(&f.api, &change, &failure(), false).await.unwrap(), "once");
        assert_eq!((again(&f, &change).await.state, room(&f).await), (PlanChangeState::Failed, before));
    }

    // The engine fails after it was paid: the way back is a row of its own until the subscription is what it was.
    let change = begin(&f, instance, size("large", 4_096, 400), Some(&amendment()), true).await.unwrap();
    pay(&f, CheckoutState::Completed).await;
    let claim = claimed(&f, &change).await;
    operations::begin_undo(&f.worker, &claim.lease, &failure()).await.unwrap();
    operations::undone(&f.worker, &claim.lease, OperationKind::ChangePlan, &failure(), BY).await.unwrap();
    let reverting = again(&f, &change).await;
    assert_eq!((reverting.state, reverting.next()), (PlanChangeState::Reverting, PlanChangeNext::Revert));
    assert_eq!((reverting.failure.unwrap().code.as_str(), room(&f).await), (FAILED, before));
    let meanwhile = begin(&f, instance, size("large", 4_096, 400), Some(&amendment()), true).await;
    assert!(matches!(meanwhile, Err(ChangeError::UnderWay(_))));
    plan_changes::retry_later(&f.api, change.id, 600).await.unwrap();
    assert!(plan_changes::due(&f.api, 10).await.unwrap().is_empty(), "not before its time");
    plan_changes::settled(&f.api, change.id).await.unwrap();
    assert_eq!(again(&f, &change).await.state, PlanChangeState::Failed);
    let server = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!((server.plan.as_str(), server.resources), ("small", SMALL));
}

#[tokio::test]
async fn a_smaller_plan_is_applied_first_and_its_room_is_free_only_then() {
    let f = Fixture::new().await;
    let instance = subscribed(&f).await;
    // Half as much memory, twice the processor: of each the bigger one is kept.
    let change = begin(&f, instance, size("odd", 512, 200), Some(&amendment()), false).await.unwrap();
    assert_eq!((change.state, room(&f).await), (PlanChangeState::Ready, (1_024, 200)));
    // Two changes of one subscription at once would each undo the other's.
    let second = f.active().await;
    for paid_first in [true, false] {
        let other = begin(&f, second, size("large", 2_048, 200), Some(&amendment()), paid_first).await;
        assert!(matches!(other, Err(ChangeError::Payment(OpenError::PlanChanging))), "{other:?}");
    }
    let claim = claimed(&f, &change).await;
    plan_changes::changed(&f.worker, &claim.lease, BY).await.unwrap();
    let change = again(&f, &change).await;
    assert_eq!((change.state, change.next()), (PlanChangeState::Settling, PlanChangeNext::Settle));
    assert_eq!(room(&f).await, (512 + 1_024, 200 + 100));
    plan_changes::settled(&f.api, change.id).await.unwrap();
    assert_eq!(again(&f, &change).await.state, PlanChangeState::Done);
}

#[tokio::test]
async fn a_change_waits_for_other_work_and_needs_room_and_a_server() {
    let f = Fixture::new().await;
    let instance = subscribed(&f).await;
    let too_big = begin(&f, instance, size("huge", 16_384, 100), Some(&amendment()), true).await;
    assert!(matches!(too_big, Err(ChangeError::NoCapacity)), "{too_big:?}");
    assert_eq!(f.database.count("SELECT count(*) FROM checkouts").await, 0, "nothing is left of it");

    let change = begin(&f, instance, size("large", 4_096, 400), None, false).await.unwrap();
    f.database
        .execute(&format!(
            "INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
             SELECT gen_random_uuid(), id, customer_id, 'delete', now() FROM instances WHERE id = '{instance}'"
        ))
        .await;
    assert!(plan_changes::start(&f.api, &change, now()).await.unwrap().is_none());
    assert!(plan_changes::due(&f.api, 10).await.unwrap().is_empty(), "it looks again a moment later");
    // It is gone before its turn came.
    f.database
        .execute("UPDATE instances SET lifecycle = 'deleting'; UPDATE plan_changes SET run_after = now()")
        .await;
    let due = plan_changes::due(&f.api, 10).await.unwrap();
    assert_eq!(due.iter().map(PlanChange::next).collect::<Vec<_>>(), [PlanChangeNext::GiveUp]);
    assert!(plan_changes::give_up(&f.api, &due[0], &failure(), false).await.unwrap());
    assert_eq!(room(&f).await, (1_024, 100));
    let other = f.customer;
    let absent = NewPlanChange {
        customer: other,
        instance: InstanceId::generate(),
        to: size("large", 1, 1),
        amendment: None,
        paid_first: None,
        by: BY,
    };
    assert!(matches!(plan_changes::begin(&f.api, &absent).await, Err(ChangeError::Absent)));
}
