//! Power requests: one transaction, one deliverer, and holds that stop a server.

use domain::{
    agent::PowerAction,
    ids::{CustomerId, InstanceId},
    instance::{DesiredPower, HoldReason},
};
use store::{
    StoreError,
    audit::By,
    events::{Event, Listener, Received},
    holds::{self, NewHold},
    power::{self, Delivery, PowerRequest},
};

use crate::fixture::{Fixture, now};

const BY: By<'_> = By { actor: "customer:test", request_id: Some("r1") };

async fn ask(f: &Fixture, instance: InstanceId, action: PowerAction) -> Option<Delivery> {
    let request = PowerRequest { customer: f.customer, instance, action, by: BY };
    power::request(&f.api, &request, "first", now()).await.unwrap()
}

async fn lease_runs_out(f: &Fixture) {
    f.database.execute("UPDATE power_requests SET lease_expires_at = now() - interval '1 second'").await;
}

#[tokio::test]
async fn a_request_is_one_transaction_with_its_audit_row_and_is_nobody_elses() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let stranger =
        PowerRequest { customer: CustomerId::generate(), instance, action: PowerAction::Stop, by: BY };
    assert_eq!(power::request(&f.api, &stranger, "x", now()).await.unwrap(), None);
    assert_eq!(f.database.count("SELECT count(*) FROM power_requests").await, 0);

    ask(&f, instance, PowerAction::Stop).await.unwrap();

    let read = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!(read.desired_power, DesiredPower::Stopped);
    let audited = "SELECT actor || ' ' || action || ' ' || (detail->>'action') || ' ' || request_id
                   FROM audit_log ORDER BY id DESC LIMIT 1";
    assert_eq!(f.database.text(audited).await, "customer:test instance.power stop r1");
}

#[tokio::test]
async fn a_request_is_brought_by_one_and_by_another_when_that_one_dies() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let mine = ask(&f, instance, PowerAction::Restart).await.unwrap();
    assert_eq!(power::claim_due(&f.api, "second", 10).await.unwrap(), [], "whoever stored it brings it");
    lease_runs_out(&f).await;
    let (one, two) =
        tokio::join!(power::claim_due(&f.api, "second", 10), power::claim_due(&f.api, "third", 10));
    let claimed = [one.unwrap(), two.unwrap()].concat();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert!(matches!(power::delivered(&f.api, &mine).await, Err(StoreError::LeaseLost)));
    power::retry_later(&f.api, &claimed[0], 60).await.unwrap();
    assert_eq!(power::claim_due(&f.api, "second", 10).await.unwrap(), [], "not before its time");
    f.database.execute("UPDATE power_requests SET run_after = now()").await;
    let again = power::claim_due(&f.api, "second", 10).await.unwrap();
    assert_eq!((again[0].action, again[0].attempts), (PowerAction::Restart, 1));
    power::delivered(&f.api, &again[0]).await.unwrap();
    assert_eq!(f.database.count("SELECT count(*) FROM power_requests").await, 0);
}

#[tokio::test]
async fn what_ends_an_earlier_request_leaves_a_later_one_alone() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let earlier = ask(&f, instance, PowerAction::Start).await.unwrap();
    let later = ask(&f, instance, PowerAction::Start).await.unwrap();
    assert!(matches!(power::delivered(&f.api, &earlier).await, Err(StoreError::LeaseLost)));
    assert!(matches!(power::retry_later(&f.api, &earlier, 1).await, Err(StoreError::LeaseLost)));
    power::delivered(&f.api, &later).await.unwrap();
    // The row is gone and made anew: an old answer does not end the new one either.
    let newest = ask(&f, instance, PowerAction::Start).await.unwrap();
    assert!(matches!(power::delivered(&f.api, &later).await, Err(StoreError::LeaseLost)));
    power::delivered(&f.api, &newest).await.unwrap();
}

#[tokio::test]
async fn a_hold_that_stops_asks_for_it_in_its_own_transaction_and_leaves_what_is_wanted() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    ask(&f, instance, PowerAction::Start).await.unwrap();
    let owner = f.database.owner();
    let by = By::itself("billing-worker");
    let hold = NewHold { instance, reason: HoldReason::Billing, note: "An invoice is open.", stop: true, by };
    let mut listener = Listener::connect(&f.api).await.unwrap();
    let told = Received::Event(Event { customer_id: f.customer, instance_id: instance, operation_id: None });

    assert!(holds::place(&owner, &hold, now()).await.unwrap());

    assert_eq!(listener.next().await.unwrap(), told);
    let claimed = power::claim_due(&f.api, "any", 10).await.unwrap();
    assert_eq!(claimed.iter().map(|it| it.action).collect::<Vec<_>>(), [PowerAction::Stop]);
    power::delivered(&f.api, &claimed[0]).await.unwrap();
    let read = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!(read.desired_power, DesiredPower::Running, "for whoever lifts the hold");
    assert!(!holds::place(&owner, &hold, now()).await.unwrap());
    assert_eq!(power::claim_due(&f.api, "any", 10).await.unwrap(), [], "once");

    assert!(holds::lift(&owner, instance, HoldReason::Billing, by, now()).await.unwrap());

    assert_eq!(listener.next().await.unwrap(), told);
    let audited = "SELECT string_agg(actor || ' ' || action, ', ' ORDER BY id) FROM audit_log
                   WHERE action LIKE 'instance.hold%'";
    let expected = "billing-worker instance.hold_placed, billing-worker instance.hold_lifted";
    assert_eq!(f.database.text(audited).await, expected);
}
