//! Power requests: one transaction, one deliverer, and holds that stop a server.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    agent::PowerAction,
    ids::{CustomerId, InstanceId},
    instance::{DesiredPower, HoldReason, Load, ObservedPower, PlayerCount, StopReason},
};
use store::{
    StoreError,
    audit::By,
    events::{Event, Listener, Received},
    holds::{self, NewHold},
    power::{self, Delivery, PowerRequest, Sighting},
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

fn seen(instance: InstanceId, power: ObservedPower, at: DateTime<Utc>) -> Sighting {
    Sighting { instance, power, heard_at: Some(at), load: None, fault: None }
}

async fn stop_of(f: &Fixture, instance: InstanceId) -> Option<(StopReason, Option<String>, DateTime<Utc>)> {
    let read = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    read.stop.map(|stop| (stop.reason, stop.by, stop.at))
}

#[tokio::test]
async fn a_stop_is_remembered_with_its_time_and_who_asked_until_the_next_start() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let (first, later) = (now(), now() + TimeDelta::minutes(5));
    ask(&f, instance, PowerAction::Stop).await.unwrap();
    assert_eq!(stop_of(&f, instance).await, None, "it was not seen to stop yet");
    let record =
        async |power, at| power::record_seen(&f.api, &[seen(instance, power, at)], at).await.unwrap();
    record(ObservedPower::Stopping, first).await;
    record(ObservedPower::Stopped, first).await;
    record(ObservedPower::Stopped, later).await;
    let stopped = Some((StopReason::Requested, Some("customer:test".to_owned()), first));
    assert_eq!(stop_of(&f, instance).await, stopped, "the first look counts");

    // A hold on what does not run anyway changes nothing of why it stopped.
    let owner = f.database.owner();
    let by = By::itself("operator:ines");
    let hold = NewHold { instance, reason: HoldReason::Abuse, note: "n", stop: true, by };
    holds::place(&owner, &hold, now()).await.unwrap();
    record(ObservedPower::Stopped, later).await;
    assert_eq!(stop_of(&f, instance).await, stopped);
    holds::lift(&owner, instance, HoldReason::Abuse, by, now()).await.unwrap();

    ask(&f, instance, PowerAction::Start).await.unwrap();
    assert_eq!(stop_of(&f, instance).await, None, "it is to run again");
    record(ObservedPower::Running, later).await;
    holds::place(&owner, &hold, now()).await.unwrap();
    record(ObservedPower::Stopped, later).await;
    let by_hold = Some((StopReason::Hold, Some("operator:ines".to_owned()), later));
    assert_eq!(stop_of(&f, instance).await, by_hold);
}

#[tokio::test]
async fn a_server_that_ends_by_itself_or_crashes_was_stopped_by_nobody() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    power::record_seen(&f.api, &[seen(instance, ObservedPower::Stopped, now())], now()).await.unwrap();
    assert_eq!(stop_of(&f, instance).await, Some((StopReason::Exited, None, now())));
    let fault = Some("It died five times.".to_owned());
    let crash = Sighting { fault, ..seen(instance, ObservedPower::Crashed, now()) };
    power::record_seen(&f.api, &[crash], now()).await.unwrap();
    let read = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    let stop = read.stop.unwrap();
    assert_eq!((stop.reason, stop.message.as_deref()), (StopReason::Crashed, Some("It died five times.")));

    // An agent that does not answer takes nothing of this back, and is not heard of.
    let lost = Sighting { heard_at: None, ..seen(instance, ObservedPower::Unknown, now()) };
    power::record_seen(&f.api, &[lost], now() + TimeDelta::hours(1)).await.unwrap();
    let read = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!((read.observed_power, read.heard_at), (ObservedPower::Unknown, Some(now())));
    assert_eq!(read.stop.map(|stop| stop.reason), Some(StopReason::Crashed));
}

#[tokio::test]
async fn load_is_kept_for_an_hour_and_only_while_a_server_runs() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let load = |at, online| Load {
        measured_at: at,
        cpu_percent: Some(42.5),
        memory_bytes: 1 << 32,
        disk_bytes: 7,
        players: Some(PlayerCount { online, max: 20 }),
    };
    for minute in 0..70 {
        let at = now() + TimeDelta::minutes(minute);
        let power = if minute == 65 { ObservedPower::Stopped } else { ObservedPower::Running };
        let sighting = Sighting { load: Some(load(at, 3)), ..seen(instance, power, at) };
        power::record_seen(&f.api, &[sighting], at).await.unwrap();
    }
    let end = now() + TimeDelta::minutes(70);
    let samples = power::samples(&f.api, f.customer, instance, end).await.unwrap();
    assert_eq!(samples.len(), 58, "minutes 11 to 69, without the one in which it was down");
    assert_eq!((samples[0].cpu_percent, samples[0].players_online), (Some(42.5), Some(3)));
    let strangers = power::samples(&f.api, CustomerId::generate(), instance, end).await.unwrap();
    assert_eq!(strangers, []);
    power::forget_old_samples(&f.api, end).await.unwrap();
    assert_eq!(f.database.count("SELECT count(*) FROM load_samples").await, 58);

    let read = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!(read.load, Some(load(now() + TimeDelta::minutes(69), 3)));
    // What belongs to nobody's running server is not written at all.
    f.database.execute("UPDATE instances SET lifecycle = 'deleting'").await;
    let late = Sighting { load: Some(load(end, 9)), ..seen(instance, ObservedPower::Running, end) };
    power::record_seen(&f.api, &[late], end).await.unwrap();
    let read = store::instances::get(&f.api, f.customer, instance).await.unwrap().unwrap();
    assert_eq!(read.load.and_then(|load| load.players), Some(PlayerCount { online: 3, max: 20 }));
}

#[tokio::test]
async fn a_customer_sees_what_was_done_to_a_server_and_by_which_key_and_not_what_operators_wrote() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let key = uuid::Uuid::now_v7();
    let insert = format!(
        "INSERT INTO api_keys (id, customer_id, name, prefix, key_hash, scopes, created_at, expires_at)
         VALUES ('{key}', '{}', 'discord-bot', 'zlh_x', sha256('x'), '{{instances:power}}', now(), now() + interval '1 day')",
        f.customer
    );
    f.database.execute(&insert).await;
    let actor = format!("key:{key}");
    let by = By { actor: &actor, request_id: None };
    let request = PowerRequest { customer: f.customer, instance, action: PowerAction::Restart, by };
    power::request(&f.api, &request, "x", now()).await.unwrap().unwrap();
    let page = store::Page::new(None, 1);
    let (newest, next) = store::audit::of_instance(&f.api, f.customer, instance, page).await.unwrap();
    let said = &newest[0];
    assert_eq!((said.action.as_str(), said.power.as_deref()), ("instance.power", Some("restart")));
    assert_eq!((said.actor.as_str(), said.actor_name.as_deref()), (actor.as_str(), Some("discord-bot")));
    let (older, end) =
        store::audit::of_instance(&f.api, f.customer, instance, store::Page::new(next, 10)).await.unwrap();
    assert_eq!(
        older.iter().map(|it| it.action.as_str()).collect::<Vec<_>>(),
        ["instance.created", "instance.create"]
    );
    assert_eq!(end, None);
    let strangers = store::audit::of_instance(&f.api, CustomerId::generate(), instance, page).await.unwrap();
    assert!(strangers.0.is_empty());
}
