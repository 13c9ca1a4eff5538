//! The controller over every kind of drift at once, in this process: what it touches, what it says it would do, and whether that
//! is what it does.

mod repairs;
mod routes;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::DateTime;
use domain::{
    drift::{BackupDifference, Difference, Mode, Rule, StorageReport},
    edge::Publication,
    ids::{BackupId, InstanceId},
    instance::{AllocatedPort, Protocol},
};
use integrations::edge::{Edge as _, FakeEdge};
use repair_worker::repair::Repairer;
use runtime::worker::work_once;
use serde_json::Value;
use store::{Db, StoreError, audit::By, controller as rows, nodes, nodes::NodeSpec, testing::TestDatabase};
use tokio_util::sync::CancellationToken;
use zlh_controller::{
    commands,
    config::ControllerSection,
    pass::{Controller, Memory},
};

/// Servers that are as they should be: enough that those that are not do not open the breaker.
const RIGHT: u16 = 80;

/// A fleet as rows, and an edge that only remembers.
struct Fleet {
    database: TestDatabase,
    db: Db,
    edge: Arc<FakeEdge>,
    controller: Controller,
}

fn id(n: u16) -> InstanceId {
    InstanceId(uuid::Uuid::from_u128(u128::from(n)))
}

fn publication(n: u16) -> Publication {
    Publication {
        instance_id: id(n),
        hostname: format!("server-{n}"),
        node_host: "127.0.0.1".into(),
        port: AllocatedPort { name: "game".into(), protocol: Protocol::Tcp, port: 30_000 + n },
        service: None,
    }
}

impl Fleet {
    /// Servers 1 to `count`, all running, published and with a container.
    async fn new(count: u16) -> Self {
        let database = TestDatabase::create().await;
        let (db, worker) = (database.role("zlh_controller"), database.role("zlh_provision"));
        let spec = NodeSpec {
            name: "one".into(),
            public_host: "127.0.0.1".into(),
            agent_host: "127.0.0.1".into(),
            memory_mib: 1 << 30,
            cpu_percent: 1 << 20,
            disk_mib: 1 << 30,
            ports: 30_000..=31_000,
        };
        let node = nodes::register(&worker, &spec, DateTime::UNIX_EPOCH).await.unwrap();
        let id_of = |n: &str| format!("('00000000-0000-0000-0000-' || lpad(to_hex({n}), 12, '0'))::uuid");
        database
            .execute(&format!(
                "INSERT INTO customers (id, email, display_name, password_hash, instance_limit, created_at, updated_at)
                 VALUES ('{customer}', 'a@example.com', 'a', 'x', 100, now(), now());
                 INSERT INTO blueprint_versions VALUES ('demo@1', 'demo', '{{\"ports\": [{{\"name\": \"game\"}}]}}', now());
                 INSERT INTO instances (id, customer_id, name, hostname, kind, blueprint, blueprint_version, variant, version, plan,
                     memory_mib, cpu_percent, disk_mib, node_id, address, lifecycle, desired_power, observed_power, created_at,
                     updated_at)
                 SELECT {of}, '{customer}', 'Server ' || n, 'server-' || n, 'game', 'demo', 'demo@1', 'x', 'x', 'x', 1, 1, 1,
                     '{node}', 'server-' || n || '.example.invalid:' || 30000 + n, 'active', 'running', 'running',
                     now() - interval '1 hour', now() - interval '1 hour' FROM generate_series(1, {count}) n;
                 UPDATE port_allocations SET instance_id = {of_port}, name = 'game', protocol = 'tcp'
                 WHERE port BETWEEN 30001 AND 30000 + {count};
                 INSERT INTO instance_status (instance_id, heard_at) SELECT id, now() FROM instances",
                of = id_of("n"),
                of_port = id_of("port - 30000"),
                customer = InstanceId::generate(),
            ))
            .await;
        let edge = Arc::new(FakeEdge::default());
        for n in 1..=count {
            edge.publish(&publication(n)).await.unwrap();
        }
        let listing = nodes::Listing { containers: (1..=count).map(id).collect(), unmarked: Vec::new() };
        nodes::report(&worker, node, &listing, Duration::ZERO, false).await.unwrap();
        // Looks follow each other without a pause here, and each is one.
        let section = ControllerSection { pass_seconds: 0, ..ControllerSection::default() };
        let controller = Controller::new(db.clone(), edge.clone(), &section, true);
        Self { database, db, edge, controller }
    }

    /// Of each kind of difference one.
    async fn drift(&self) {
        let gone = InstanceId::generate();
        let operation = |n: u16, state: &str, more: &str| {
            format!(
                "INSERT INTO operations (id, instance_id, customer_id, kind, state, {more_columns}created_at, run_after)
                 SELECT gen_random_uuid(), id, customer_id, 'create', '{state}', {more}now(), now() - interval '1 hour'
                 FROM instances WHERE id = '{}';",
                id(n),
                more_columns = if more.is_empty() { "" } else { "lease_owner, lease_term, lease_expires_at, " },
            )
        };
        let taken = operation(1, "running", "'gone', 3, now() - interval '10 minutes', ");
        let waiting = operation(2, "queued", "");
        let [held, stopped, silent, lost, unmarked, deleted] = [3, 4, 5, 8, 9, 10].map(id);
        let of = |what| BackupDifference { instance: id(11), backup: BackupId::generate(), what };
        let report = StorageReport {
            differences: vec![
                of(Difference::Missing { key: "a".into() }),
                of(Difference::Left { key: "b".into(), bytes: 1, state: None }),
            ],
            ..StorageReport::default()
        };
        let report = serde_json::to_string(&report).unwrap();
        let more = format!(
            "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
             VALUES (gen_random_uuid(), '{held}', 'abuse', 'x', 'test', now());
             UPDATE instances SET observed_power = 'stopped' WHERE id = '{stopped}';
             UPDATE instance_status SET heard_at = now() - interval '1 hour' WHERE instance_id = '{silent}';
             UPDATE node_reports SET containers = array_append(array_remove(array_remove(containers, '{lost}'), '{unmarked}'),
                 '{gone}'), unmarked = ARRAY['{unmarked}'::uuid];
             UPDATE instances SET lifecycle = 'deleted', capacity_held = false, updated_at = now() - interval '1 hour'
             WHERE id = '{deleted}';
             INSERT INTO nodes (id, name, public_host, agent_host, memory_mib, cpu_percent, disk_mib, created_at)
             VALUES (gen_random_uuid(), 'silent', 'x', 'x', 1, 1, 1, now() - interval '1 day'),
                    (gen_random_uuid(), 'broken', 'x', 'x', 1, 1, 1, now() - interval '1 day');
             INSERT INTO node_reports (node_id, reported_at, error) SELECT id, now() + interval '1 hour', 'no' FROM nodes
             WHERE name = 'broken';
             UPDATE storage_report SET reported_at = now(), compared_at = now(), report = '{report}';
             UPDATE billing_status SET endpoint_problem = 'it is disabled';
             INSERT INTO stripe_events (id, type, livemode, payload, source, created_at, received_at)
             VALUES ('evt_1', 'x', false, '{{}}', 'webhook', now(), now() - interval '1 hour');"
        );
        self.database.execute(&[taken, waiting, more].concat()).await;
        // One is not published, one leads elsewhere, and one that is deleted is published still.
        self.edge.withdraw(&publication(6)).await.unwrap();
        let elsewhere = AllocatedPort { port: 1, ..publication(7).port };
        self.edge.publish(&Publication { port: elsewhere, ..publication(7) }).await.unwrap();
    }

    /// Everything that a controller must leave alone, as one text.
    async fn untouched(&self) -> String {
        let tables =
            ["instances", "operations", "holds", "port_allocations", "nodes", "repairs", "instance_status"];
        let parts = tables.map(|table| {
            format!("(SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {table} t)")
        });
        self.database.text(&format!("SELECT {}", parts.join(" || "))).await
    }

    async fn plan(&self) -> Value {
        serde_json::from_str(&commands::plan(&self.db, &self.controller, true).await.unwrap()).unwrap()
    }

    /// What it says it would do, by server or operation.
    async fn planned(&self) -> BTreeSet<(String, String)> {
        let plan = self.plan().await;
        let found = plan["findings"].as_array().unwrap().iter();
        found
            .filter(|it| !it["will_be_done"].is_null())
            .map(|it| {
                (it["instance"].as_str().unwrap().to_owned(), it["will_be_done"].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

#[tokio::test]
async fn whoever_does_not_lead_any_more_asks_nobody_outside() {
    let fleet = Fleet::new(1).await;
    let old = rows::begin_term(&fleet.db, "old").await.unwrap();
    fleet.controller.pass(old, &mut Memory::default()).await.unwrap();
    rows::begin_term(&fleet.db, "new").await.unwrap();
    let before = fleet.edge.scenario.count("observe");
    let refused = fleet.controller.pass(old, &mut Memory::default()).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    assert_eq!(fleet.edge.scenario.count("observe"), before);
}

#[tokio::test]
async fn observing_changes_nothing_whatever_drifts_and_the_plan_is_what_level_1_then_does() {
    let fleet = Fleet::new(RIGHT).await;
    let (db, controller) = (&fleet.db, &fleet.controller);
    assert_eq!(fleet.plan().await["findings"], serde_json::json!([]));
    fleet.drift().await;
    let term = rows::begin_term(db, "test").await.unwrap();
    let changes = || ["publish", "withdraw"].map(|call| fleet.edge.scenario.count(call));
    let (mut memory, before, changes_before) = (Memory::default(), fleet.untouched().await, changes());
    for _ in 0..100 {
        assert!(controller.pass(term, &mut memory).await.unwrap().is_empty());
    }
    assert_eq!(before, fleet.untouched().await);
    assert_eq!(changes_before, changes());
    let found =
        fleet.database.text("SELECT string_agg(DISTINCT rule, ' ' ORDER BY rule) FROM findings").await;
    // A part of the edge that is away, what is not ours and the breaker have tests of their own: they hide others.
    let apart = [
        Rule::EdgeUnreachable,
        Rule::EntryForeign,
        Rule::BreakerOpen,
        Rule::ZoneNearlyFull,
        Rule::StorageUnreachable,
        Rule::RouteMissing,
        Rule::CredentialExpiring,
    ];
    let mut all: Vec<_> = Rule::ALL.iter().filter(|it| !apart.contains(it)).map(|it| it.as_str()).collect();
    all.sort_unstable();
    assert_eq!(found, all.join(" "));

    // What the plan says under Level 1 is what the next pass asks for, and what is repaired is not found again.
    rows::set_posture(db, Some(Mode::Level1), None, By::itself("test"), "test", true).await.unwrap();
    let planned = fleet.planned().await;
    let asked = controller.pass(term, &mut memory).await.unwrap();
    let of_rows = "SELECT coalesce(string_agg(f.instance_id || ' ' || r.action, ',' ORDER BY 1), '')
                   FROM repairs r JOIN findings f ON f.id = r.finding_id";
    let done: BTreeSet<_> = fleet
        .database
        .text(of_rows)
        .await
        .split(',')
        .filter_map(|it| it.split_once(' '))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect();
    assert_eq!((done.len(), &done), (3, &planned), "{planned:?}");
    let repairer = Repairer::new(fleet.database.role("zlh_repair"), fleet.edge.clone());
    for dispatch in &asked {
        work_once(&repairer, dispatch.row(), "test", &CancellationToken::new()).await.unwrap();
    }
    controller.pass(term, &mut memory).await.unwrap();
    let open = "SELECT count(*) FROM findings WHERE closed_at IS NULL AND action IS NOT NULL";
    assert_eq!(fleet.database.count(open).await, 0);
    assert_eq!(
        fleet.database.count("SELECT count(*) FROM repair_events WHERE outcome = 'repaired'").await,
        3
    );
    assert_eq!(changes(), [changes_before[0] + 2, changes_before[1]]);
    assert!(fleet.planned().await.is_empty());
}
