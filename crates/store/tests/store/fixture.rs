//! A database with a customer and a node.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use domain::{
    ids::{CustomerId, InstanceId, OperationId},
    instance::{InstanceKind, Protocol, Resources},
};
use store::{
    Db,
    audit::By,
    instances::{CreateError, Created, NewInstance, PortRequest},
    nodes::NodeSpec,
    testing::TestDatabase,
};

/// A moment; tests that need another add to it.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// Whoever does something here.
pub(crate) const BY: By<'_> = By::itself("test");

pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) api: Db,
    pub(crate) worker: Db,
    pub(crate) customer: CustomerId,
}

/// The node, which hands out these ports.
pub(crate) fn node(ports: RangeInclusive<u16>) -> NodeSpec {
    NodeSpec {
        name: "one".into(),
        public_host: "127.0.0.1".into(),
        agent_host: "127.0.0.1".into(),
        memory_mib: 8_192,
        cpu_percent: 800,
        disk_mib: 81_920,
        ports,
    }
}

impl Fixture {
    /// One node with room for eight instances and 16 ports.
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let (api, worker) = (database.role("zlh_api"), database.role("zlh_provision"));
        store::nodes::register(&worker, &node(30_000..=30_015), now()).await.unwrap();
        database.execute("INSERT INTO blueprint_versions VALUES ('demo@1', 'demo', '{}', now())").await;
        let fixture = Self { customer: CustomerId::generate(), database, api, worker };
        fixture.add_customer(fixture.customer, 20).await;
        fixture
    }

    pub(crate) async fn add_customer(&self, id: CustomerId, limit: i32) {
        let insert = format!(
            "INSERT INTO customers (id, email, display_name, password_hash, instance_limit, created_at, updated_at)
             VALUES ('{id}', '{id}@example.com', 'n', 'x', {limit}, now(), now());
             INSERT INTO entitlement_grants (id, customer_id, quantity, reason, granted_by)
             VALUES (gen_random_uuid(), '{id}', 1000, 'test', 'test')"
        );
        self.database.execute(&insert).await;
    }

    /// Creates with a name, hostname and key of its own, unless `change` says otherwise.
    pub(crate) async fn create(
        &self,
        change: impl FnOnce(&mut NewInstance<'_>),
    ) -> (InstanceId, OperationId, Result<Created, CreateError>) {
        let id = InstanceId::generate();
        let unique = id.to_string();
        let ports = [
            PortRequest { name: "agent", protocol: Protocol::Tcp },
            PortRequest { name: "game", protocol: Protocol::Tcp },
        ];
        let mut new = NewInstance {
            instance_id: id,
            operation_id: OperationId::generate(),
            customer_id: self.customer,
            key: &unique,
            body_hash: [7; 32],
            name: &unique,
            hostname: &unique,
            kind: InstanceKind::Game,
            blueprint: "demo",
            blueprint_version: "demo@1",
            variant: "v",
            version: "1",
            plan: "small",
            resources: Resources { memory_mib: 1_024, cpu_percent: 100, disk_mib: 10_240 },
            ports: &ports,
            eula_accepted_at: None,
            actor: "test",
            request_id: None,
        };
        change(&mut new);
        let outcome = store::instances::create(&self.api, &new, now()).await;
        (new.instance_id, new.operation_id, outcome)
    }

    /// Rows and amounts that a create leaves behind, for comparing before and after.
    pub(crate) async fn inventory(&self) -> Vec<i64> {
        let mut counts = Vec::new();
        for sql in [
            "SELECT count(*) FROM instances",
            "SELECT count(*) FROM operations",
            "SELECT count(*) FROM idempotency_keys",
            "SELECT count(*) FROM audit_log",
            "SELECT count(*) FROM port_allocations WHERE instance_id IS NOT NULL",
            "SELECT used_memory_mib + used_cpu_percent + used_disk_mib FROM nodes",
        ] {
            counts.push(self.database.count(sql).await);
        }
        counts
    }
}
