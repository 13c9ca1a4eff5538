//! Creating and deleting instances.

use std::collections::HashSet;

use chrono::TimeDelta;
use domain::{
    agent::PowerAction,
    ids::{CustomerId, OperationId},
    instance::{DesiredPower, HoldReason, Lifecycle, ObservedPower, PowerRefusal, Resources},
    operation::Failure,
};
use futures_util::future::join_all;
use store::{
    Page,
    holds::NewHold,
    instances::{CreateError, Created, DeleteOutcome, DeleteRequest, Renamed},
    nodes::NodeSpec,
    operations,
    power::{self, PowerRequest},
    testing,
};

use crate::fixture::{BY, Fixture, node, now};

#[tokio::test]
async fn a_create_commits_instance_ports_capacity_operation_and_audit_together() {
    let f = Fixture::new().await;
    let (id, operation, outcome) = f.create(|_| {}).await;
    assert!(matches!(outcome, Ok(Created::New(_))));
    let instance = store::instances::get(&f.api, f.customer, id).await.unwrap().unwrap();
    assert_eq!(
        (instance.lifecycle, instance.active_operation.map(|it| it.id)),
        (Lifecycle::Provisioning, Some(operation))
    );
    assert_eq!(instance.ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["agent", "game"]);
    assert_eq!(f.inventory().await, [1, 1, 1, 1, 2, 1_024 + 100 + 10_240]);
}

#[tokio::test]
async fn a_create_that_is_refused_leaves_nothing() {
    let f = Fixture::new().await;
    f.create(|new| new.name = "taken").await.2.unwrap();
    f.create(|new| new.hostname = "taken").await.2.unwrap();
    let before = f.inventory().await;
    let huge = Resources { memory_mib: 9_000, cpu_percent: 1, disk_mib: 1 };
    let refused = [
        f.create(|new| new.name = "TAKEN").await.2,
        f.create(|new| new.hostname = "taken").await.2,
        f.create(|new| new.resources = huge).await.2,
        f.create(|new| new.customer_id = CustomerId::generate()).await.2,
    ];
    let [name, host, room, account] = refused.map(Result::unwrap_err);
    assert!(matches!(name, CreateError::NameTaken), "{name:?}");
    assert!(matches!(host, CreateError::HostnameTaken), "{host:?}");
    assert!(matches!(room, CreateError::NoCapacity), "{room:?}");
    assert!(matches!(account, CreateError::NoAccount), "{account:?}");
    assert_eq!(f.inventory().await, before);
}

#[tokio::test]
async fn a_second_create_with_the_same_key_returns_the_same_operation() {
    let f = Fixture::new().await;
    let (_, first, outcome) = f.create(|new| new.key = "k").await;
    outcome.unwrap();
    let before = f.inventory().await;
    assert_eq!(f.create(|new| new.key = "k").await.2.unwrap(), Created::Replayed(first));
    let other_body = f.create(|new| (new.key, new.body_hash) = ("k", [8; 32])).await.2;
    assert!(matches!(other_body, Err(CreateError::KeyReused)));
    assert_eq!(f.inventory().await, before);
    // Somebody else's key of the same spelling is another key.
    let other = CustomerId::generate();
    f.add_customer(other, 1).await;
    let theirs = f.create(|new| (new.key, new.customer_id) = ("k", other)).await.2;
    assert!(matches!(theirs, Ok(Created::New(_))));
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let f = Fixture::new().await;
    let (_, first, _) = f.create(|new| new.key = "k").await;
    f.database.execute("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'").await;
    let (_, second, outcome) = f.create(|new| new.key = "k").await;
    assert!(matches!(outcome, Ok(Created::New(_))));
    assert_ne!(first, second);
    assert_eq!(store::instances::forget_old_keys(&f.api, now()).await.unwrap(), 0);
    let tomorrow = now() + TimeDelta::hours(25);
    assert_eq!(store::instances::forget_old_keys(&f.api, tomorrow).await.unwrap(), 1);
}

#[tokio::test]
async fn fifty_creates_at_once_with_one_key_make_one_instance() {
    let f = Fixture::new().await;
    let outcomes = join_all((0..50).map(|_| f.create(|new| new.key = "k"))).await;
    let new = outcomes.iter().filter(|(_, _, o)| matches!(o, Ok(Created::New(_)))).count();
    assert_eq!(new, 1);
    for (_, _, outcome) in outcomes {
        assert!(matches!(outcome, Ok(_) | Err(CreateError::KeyInProgress)), "{outcome:?}");
    }
    assert_eq!(f.inventory().await[..3], [1, 1, 1]);
}

#[tokio::test]
async fn a_port_that_comes_back_from_outside_the_nodes_range_is_not_handed_out_again() {
    let f = Fixture::new().await;
    let (_, create, _) = f.create(|_| {}).await;
    let outside = "SELECT count(*) FROM port_allocations WHERE port NOT BETWEEN 30010 AND 30015";
    store::nodes::register(&f.worker, &node(30_010..=30_015), now()).await.unwrap();
    assert_eq!(f.database.count(outside).await, 2, "what is in use stays");
    let claim = testing::claim(&f.worker, create, "w").await.unwrap().unwrap();
    operations::create_failed(&f.worker, &claim.lease, &Failure::new("x", "y"), BY).await.unwrap();
    assert_eq!(f.database.count(outside).await, 0);
    assert_eq!(f.database.count("SELECT count(*) FROM port_allocations").await, 6);
}

#[tokio::test]
async fn a_node_that_has_room_but_no_ports_is_passed_over_for_one_that_has_both() {
    let f = Fixture::new().await;
    // Fuller than the other one, so it comes first; two servers' ports.
    let small = NodeSpec { name: "two".into(), memory_mib: 6_144, ..node(31_000..=31_003) };
    store::nodes::register(&f.worker, &small, now()).await.unwrap();
    let mut ports = Vec::new();
    for _ in 0..4 {
        let (id, _, created) = f.create(|_| {}).await;
        assert!(matches!(created, Ok(Created::New(_))));
        let instance = store::instances::get(&f.api, f.customer, id).await.unwrap().unwrap();
        ports.extend(instance.ports.iter().map(|port| port.port));
    }
    ports.sort_unstable();
    assert_eq!(ports, [30_000, 30_001, 30_002, 30_003, 31_000, 31_001, 31_002, 31_003]);
}

#[tokio::test]
async fn ports_that_were_never_handed_out_come_first_and_then_those_that_were_free_longest() {
    let f = Fixture::new().await;
    let ports = async |id| {
        let instance = store::instances::get(&f.api, f.customer, id).await.unwrap().unwrap();
        instance.ports.iter().map(|port| port.port).collect::<HashSet<_>>()
    };
    let mut given_back = Vec::new();
    for _ in 0..7 {
        let (id, create, _) = f.create(|_| {}).await;
        given_back.push(ports(id).await);
        let claim = testing::claim(&f.worker, create, "w").await.unwrap().unwrap();
        operations::create_failed(&f.worker, &claim.lease, &Failure::new("x", "y"), BY).await.unwrap();
    }
    assert_eq!(given_back.iter().flatten().collect::<HashSet<_>>().len(), 14, "each had new ones");
    let (last, ..) = f.create(|_| {}).await;
    assert_eq!(ports(last).await, HashSet::from([30_014, 30_015]));
    for earlier in &given_back[..3] {
        let (id, ..) = f.create(|_| {}).await;
        assert_eq!(ports(id).await, *earlier);
    }
}

#[tokio::test]
async fn creates_at_once_share_no_port_and_never_exceed_the_node() {
    let f = Fixture::new().await;
    let outcomes = join_all((0..20).map(|_| f.create(|_| {}))).await;
    let made: Vec<_> = outcomes.iter().filter(|(_, _, o)| o.is_ok()).map(|(id, _, _)| *id).collect();
    // Eight is what the node's memory and ports hold. Refusals are about room, nothing else.
    assert_eq!(made.len(), 8);
    assert!(outcomes.iter().all(|(_, _, o)| matches!(o, Ok(_) | Err(CreateError::NoCapacity))));
    let mut ports = HashSet::new();
    for id in made {
        let instance = store::instances::get(&f.api, f.customer, id).await.unwrap().unwrap();
        assert_eq!(instance.ports.len(), 2);
        assert!(instance.ports.iter().all(|port| ports.insert(port.port)));
    }
}

#[tokio::test]
async fn creates_at_once_never_exceed_the_accounts_limit() {
    let f = Fixture::new().await;
    let customer = CustomerId::generate();
    f.add_customer(customer, 2).await;
    let outcomes = join_all((0..8).map(|_| f.create(|new| new.customer_id = customer))).await;
    assert_eq!(outcomes.iter().filter(|(_, _, o)| o.is_ok()).count(), 2);
    assert!(outcomes.iter().all(|(_, _, o)| matches!(o, Ok(_) | Err(CreateError::LimitReached(2)))));
}

#[tokio::test]
async fn another_customers_instance_is_absent() {
    let f = Fixture::new().await;
    let (id, operation, _) = f.create(|_| {}).await;
    let stranger = CustomerId::generate();
    assert_eq!(store::instances::get(&f.api, stranger, id).await.unwrap(), None);
    assert_eq!(store::operations::get(&f.api, stranger, operation).await.unwrap(), None);
    assert!(store::instances::list(&f.api, stranger, Page::new(None, 10)).await.unwrap().0.is_empty());
    let renamed = store::instances::rename(&f.api, stranger, id, "mine", 1, now()).await.unwrap();
    assert_eq!(renamed, Renamed::Absent);
    let request = DeleteRequest {
        customer: stranger,
        instance: id,
        operation: OperationId::generate(),
        actor: "test",
        request_id: None,
    };
    assert_eq!(
        store::instances::request_delete(&f.api, &request, now()).await.unwrap(),
        DeleteOutcome::Absent
    );
}

#[tokio::test]
async fn a_list_is_paged_newest_first_without_gaps() {
    let f = Fixture::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, f.create(|_| {}).await.0);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = store::instances::list(&f.api, f.customer, Page::new(cursor, 2)).await.unwrap();
        seen.extend(page.iter().map(|instance| instance.id));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn a_rename_needs_the_version_that_was_read() {
    let f = Fixture::new().await;
    let (id, _, _) = f.create(|_| {}).await;
    let rename =
        |name: &'static str, version| store::instances::rename(&f.api, f.customer, id, name, version, now());
    assert_eq!(rename("new", 1).await.unwrap(), Renamed::Done(2));
    assert_eq!(rename("newer", 1).await.unwrap(), Renamed::VersionChanged);
    f.create(|new| new.name = "other").await.2.unwrap();
    assert_eq!(rename("Other", 2).await.unwrap(), Renamed::NameTaken);
}

#[tokio::test]
async fn one_operation_at_a_time_on_an_instance() {
    let f = Fixture::new().await;
    let (id, create, _) = f.create(|_| {}).await;
    let request = |operation| DeleteRequest {
        customer: f.customer,
        instance: id,
        operation,
        actor: "test",
        request_id: None,
    };
    let delete = OperationId::generate();
    let busy = store::instances::request_delete(&f.api, &request(delete), now()).await.unwrap();
    assert_eq!(busy, DeleteOutcome::Busy(create));
    let claim = testing::claim(&f.worker, create, "w").await.unwrap().unwrap();
    operations::create_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    let new = store::instances::request_delete(&f.api, &request(delete), now()).await.unwrap();
    assert!(matches!(&new, DeleteOutcome::New(dispatch) if dispatch.row() == delete), "{new:?}");
    let again =
        store::instances::request_delete(&f.api, &request(OperationId::generate()), now()).await.unwrap();
    assert_eq!(again, DeleteOutcome::Already(delete));
    // The index, not the code, is what holds: a second active operation cannot be written by anybody.
    let second = format!(
        "INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
         VALUES (gen_random_uuid(), '{id}', '{}', 'delete', now())",
        f.customer
    );
    assert!(f.database.try_execute(&second).await.unwrap_err().contains("operations_one_active"));
}

#[tokio::test]
async fn the_axes_of_state_do_not_touch_one_another() {
    let f = Fixture::new().await;
    let (id, create, _) = f.create(|_| {}).await;
    let claim = testing::claim(&f.worker, create, "w").await.unwrap().unwrap();
    operations::create_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    let read = || async { store::instances::get(&f.api, f.customer, id).await.unwrap().unwrap() };
    let owner = f.database.owner();
    for reason in [HoldReason::Billing, HoldReason::Abuse] {
        let hold = NewHold { instance: id, reason, note: "n", stop: false, by: BY };
        assert!(store::holds::place(&owner, &hold, now()).await.unwrap());
        assert!(!store::holds::place(&owner, &hold, now()).await.unwrap());
    }
    let held = read().await;
    assert_eq!(held.allows_power(PowerAction::Start), Err(PowerRefusal::OnHold(HoldReason::Billing)));
    assert_eq!(held.allows_power(PowerAction::Stop), Ok(()));
    assert_eq!((held.desired_power, held.observed_power), (DesiredPower::Running, ObservedPower::Running));
    // Paying lifts the billing hold only.
    assert!(store::holds::lift(&owner, id, HoldReason::Billing, BY, now()).await.unwrap());
    assert_eq!(read().await.allows_power(PowerAction::Start), Err(PowerRefusal::OnHold(HoldReason::Abuse)));
    let ask = |action| {
        let request = PowerRequest { customer: f.customer, instance: id, action, by: BY };
        let (db, now) = (f.api.clone(), now());
        async move { power::request(&db, &request, "test", now).await.unwrap() }
    };
    assert_eq!(ask(PowerAction::Start).await, None, "a hold refuses the request in the statement itself");
    assert!(ask(PowerAction::Stop).await.is_some());
    let crashed = power::Sighting {
        instance: id,
        power: ObservedPower::Crashed,
        heard_at: Some(now()),
        load: None,
        fault: None,
    };
    power::record_seen(&f.api, &[crashed], now()).await.unwrap();
    let last = read().await;
    assert_eq!(last.holds.len(), 1);
    assert_eq!((last.lifecycle, last.desired_power), (Lifecycle::Active, DesiredPower::Stopped));
    assert_eq!(last.observed_power, ObservedPower::Crashed);
}

#[tokio::test]
async fn deleting_gives_back_exactly_what_was_held() {
    let f = Fixture::new().await;
    let (id, create, _) = f.create(|new| new.name = "again").await;
    let claim = testing::claim(&f.worker, create, "w").await.unwrap().unwrap();
    let failure = domain::operation::Failure::new("test", "it broke");
    operations::begin_undo(&f.worker, &claim.lease, &failure).await.unwrap();
    operations::create_failed(&f.worker, &claim.lease, &failure, BY).await.unwrap();
    assert_eq!(f.inventory().await[4..], [0, 0]);
    // The failed instance's name is free; removing the history afterwards gives nothing back twice.
    f.create(|new| new.name = "again").await.2.unwrap();
    let held = f.inventory().await[4..].to_vec();
    let request = DeleteRequest {
        customer: f.customer,
        instance: id,
        operation: OperationId::generate(),
        actor: "test",
        request_id: None,
    };
    store::instances::request_delete(&f.api, &request, now()).await.unwrap();
    let claim = testing::claim(&f.worker, request.operation, "w").await.unwrap().unwrap();
    operations::delete_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    assert_eq!(f.inventory().await[4..], held);
    assert_eq!(store::instances::get(&f.api, f.customer, id).await.unwrap(), None);
}
