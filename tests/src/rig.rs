//! A worker in the test's own process, with a real database, a real engine and real agents.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
};
use domain::{
    agent::PROVISION_ISSUER,
    clock::Clock,
    ids::{CustomerId, InstanceId, NodeId, OperationId},
    instance::{AGENT_PORT, InstanceKind, Protocol, Resources},
    operation::Operation,
    token::{Signer, generate_key},
};
use integrations::{
    agent::AgentClient,
    artifacts::FakeArtifacts,
    edge::FakeEdge,
    engine::{
        Engine, Engines,
        local::{Isolation, LocalConfig, LocalEngine},
    },
    objects::{FolderStore, folder::gateway},
};
use provision_worker::{
    runner::{Runner, Shares},
    saga::{BackupLimits, Services},
};
use runtime::{clock::SystemClock, worker::work_once};
use store::{
    Db,
    instances::{DeleteRequest, NewInstance, PortRequest},
    nodes::NodeSpec,
    operations,
    testing::TestDatabase,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{Inventory, Plan, PortRange, game, inventory};

/// How long anything of a test may take; ends early in every case.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One of the workspace's programs, built by `cargo xtask test`.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("ZLH_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("the test's path");
            test.parent().and_then(|deps| deps.parent()).expect("target/debug").to_owned()
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run the tests by `cargo xtask test`", path.display());
    path
}

/// The rig. Its engine's folder goes with it.
pub struct Rig {
    /// The database.
    pub database: TestDatabase,
    /// As zpack-api.
    pub api: Db,
    /// As provision-worker.
    pub worker: Db,
    /// The owner of all instances.
    pub customer: CustomerId,
    /// The engine of the first node.
    pub engine: LocalEngine,
    engines: Engines,
    nodes: Vec<TestNode>,
    /// The edge, which only remembers.
    pub edge: Arc<FakeEdge>,
    /// Where backups lie; agents reach it.
    pub objects: Arc<FolderStore>,
    /// Whether the storage lets agents wait, without an answer.
    pub hold_storage: watch::Sender<bool>,
    signer: Arc<Signer>,
    storage: TempDir,
}

/// A node with an engine of its own, whose folder goes with it.
struct TestNode {
    engine: LocalEngine,
    root: TempDir,
    _ports: PortRange,
}

impl TestNode {
    /// Opens the engine and registers the node.
    async fn register(worker: &Db, name: &str) -> (NodeId, Self) {
        let (root, ports) = (tempfile::tempdir().expect("a folder"), PortRange::take());
        let config = LocalConfig {
            root: root.path().to_owned(),
            agent_program: program("zlh-agent"),
            isolation: Isolation::Auto,
            visible: Vec::new(),
            clock: clock(),
        };
        let engine = LocalEngine::open(config).await.expect("the engine");
        let node = NodeSpec {
            name: name.to_owned(),
            public_host: "127.0.0.1".into(),
            agent_host: "127.0.0.1".into(),
            memory_mib: 4_096,
            cpu_percent: 800,
            disk_mib: 40_960,
            ports: ports.range(),
        };
        let id = store::nodes::register(worker, &node, clock().now()).await.expect("the node");
        (id, Self { engine, root, _ports: ports })
    }
}

/// Agents live in real time.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A folder as object storage, served to agents as zpack-api does.
async fn serve_objects(folder: &std::path::Path, hold: watch::Receiver<bool>) -> FolderStore {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let base_url = format!("http://{}", listener.local_addr().expect("an address"));
    let store = FolderStore::open(folder, &base_url, &[7; 32], clock()).expect("the storage");
    let middleware = async |State(mut hold): State<watch::Receiver<bool>>, request: Request, next: Next| {
        let _ = hold.wait_for(|hold| !hold).await;
        next.run(request).await
    };
    let router = gateway(store.clone()).layer(from_fn_with_state(hold, middleware));
    tokio::spawn(async move { axum::serve(listener, router).await });
    store
}

impl Rig {
    /// Makes one.
    pub async fn new() -> Self {
        let database = TestDatabase::create().await;
        let (api, worker) = (database.role("zlh_api"), database.role("zlh_provision"));
        let (id, node) = TestNode::register(&worker, "test").await;
        let engine = node.engine.clone();
        let engines = Engines::default().with(id, Arc::new(engine.clone()));
        store::blueprints::record(&api, &game::blueprint(), clock().now()).await.expect("the blueprint");
        let customer = CustomerId::generate();
        let insert = format!(
            "INSERT INTO customers (id, email, display_name, password_hash, instance_limit, created_at, updated_at)
             VALUES ('{customer}', '{customer}@example.com', 'n', 'x', 100, now(), now());
             INSERT INTO entitlement_grants (id, customer_id, quantity, reason, granted_by)
             VALUES (gen_random_uuid(), '{customer}', 1000, 'test', 'test')"
        );
        database.execute(&insert).await;
        let signer = Signer::from_base64(PROVISION_ISSUER, &generate_key().expect("a key")).expect("a key");
        let (edge, signer) = (Arc::new(FakeEdge::default()), Arc::new(signer));
        let backups = tempfile::tempdir().expect("a folder");
        let hold_storage = watch::Sender::new(false);
        let objects = Arc::new(serve_objects(backups.path(), hold_storage.subscribe()).await);
        Self {
            database,
            api,
            worker,
            customer,
            engine,
            engines,
            nodes: vec![node],
            edge,
            objects,
            hold_storage,
            signer,
            storage: backups,
        }
    }

    /// Adds a node with an engine of its own, which takes all new instances from now on.
    pub async fn add_node(&mut self, name: &str) -> LocalEngine {
        self.database.execute("UPDATE nodes SET cordoned = true").await;
        let (id, node) = TestNode::register(&self.worker, name).await;
        let engine = node.engine.clone();
        self.engines = self.engines.clone().with(id, Arc::new(engine.clone()));
        self.nodes.push(node);
        engine
    }

    /// Asks for an instance of the smallest game.
    pub async fn ask_create(&self) -> (InstanceId, OperationId) {
        let (blueprint, id, operation) = (game::blueprint(), InstanceId::generate(), OperationId::generate());
        let unique = id.to_string();
        let ports = [
            PortRequest { name: AGENT_PORT, protocol: Protocol::Tcp },
            PortRequest { name: "game", protocol: Protocol::Udp },
        ];
        let new = NewInstance {
            instance_id: id,
            operation_id: operation,
            customer_id: self.customer,
            key: &unique,
            body_hash: [0; 32],
            name: &unique,
            hostname: &unique,
            kind: InstanceKind::Game,
            blueprint: &blueprint.id,
            blueprint_version: &blueprint.content_version(),
            variant: "only",
            version: "1",
            plan: "small",
            resources: Resources { memory_mib: 256, cpu_percent: 100, disk_mib: 1_024 },
            ports: &ports,
            eula_accepted_at: None,
            actor: "test",
            request_id: None,
        };
        store::instances::create(&self.api, &new, clock().now()).await.expect("a create");
        (id, operation)
    }

    /// Asks for an instance to be deleted.
    pub async fn ask_delete(&self, instance: InstanceId) -> OperationId {
        let operation = OperationId::generate();
        let request =
            DeleteRequest { customer: self.customer, instance, operation, actor: "test", request_id: None };
        store::instances::request_delete(&self.api, &request, clock().now()).await.expect("a delete");
        operation
    }

    /// A worker with this plan's faults.
    pub fn runner(&self, plan: &Arc<Plan>) -> Runner {
        Runner::new(self.worker.clone(), self.services(), plan.steps(), Shares { short: 4, long: 2 })
    }

    /// A worker's connections.
    pub fn services(&self) -> Services {
        Services {
            engines: self.engines.clone(),
            agents: Arc::new(AgentClient::new(self.signer.clone(), clock())),
            artifacts: Arc::new(FakeArtifacts::default()),
            objects: self.objects.clone(),
            backups: BackupLimits {
                address_life: Duration::from_hours(1),
                deadline: Duration::from_secs(30),
                stall: Duration::from_secs(3),
                slowest_mib_per_second: 1_000,
            },
            edge: self.edge.clone(),
            bind_address: Ipv4Addr::LOCALHOST.into(),
            signer: self.signer.clone(),
            trusted: Vec::new(),
        }
    }

    /// The folder of the first node's engine.
    pub fn root(&self) -> &std::path::Path {
        self.nodes[0].root.path()
    }

    /// The storage's folder.
    pub fn storage(&self) -> &std::path::Path {
        self.storage.path()
    }

    /// Lets a worker claim the operation and work until it leaves it, or until the plan kills it; a killed worker's
    /// lease is then let run out, as time would.
    pub async fn work(&self, operation: OperationId, plan: &Arc<Plan>) {
        let due = format!("UPDATE operations SET run_after = now() WHERE id = '{operation}'");
        self.database.execute(&due).await;
        let runner = self.runner(plan);
        let worker = tokio::spawn(async move {
            let never = CancellationToken::new();
            let claimed = work_once(&runner, operation, "test-worker", &never).await.expect("the database");
            assert!(claimed, "the operation could not be claimed");
        });
        let abort = worker.abort_handle();
        tokio::select! {
            done = tokio::time::timeout(PATIENCE, worker) => done.expect("an end in time").expect("no panic"),
            () = plan.died() => {
                abort.abort();
                let expire = format!(
                    "UPDATE operations SET lease_expires_at = now() - interval '1 second'
                     WHERE id = '{operation}' AND lease_expires_at IS NOT NULL"
                );
                self.database.execute(&expire).await;
            }
        }
    }

    /// The operation as its customer sees it.
    pub async fn operation(&self, id: OperationId) -> Operation {
        operations::get(&self.api, self.customer, id).await.expect("the database").expect("the operation")
    }

    /// Everything that may be left. Processes are given time to be gone: a killed one is reaped by its parent.
    pub async fn inventory(&self, expect_processes: bool) -> Inventory {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !expect_processes && !self.processes().is_empty() && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let count = async |sql: &str| self.database.count(sql).await;
        Inventory {
            live_instances: count(
                "SELECT count(*) FROM instances WHERE lifecycle IN ('provisioning', 'active', 'deleting')",
            )
            .await,
            active_operations: count(
                "SELECT count(*) FROM operations WHERE state NOT IN ('succeeded', 'failed')",
            )
            .await,
            ports: count("SELECT count(*) FROM port_allocations WHERE instance_id IS NOT NULL").await,
            capacity: count(
                "SELECT sum(used_memory_mib + used_cpu_percent + used_disk_mib)::bigint FROM nodes",
            )
            .await,
            containers: self.containers().await,
            publications: self.edge.inventory().len(),
            processes: self.processes(),
            files: self.nodes.iter().flat_map(|node| inventory::files(node.root.path())).collect(),
        }
    }
}

impl Rig {
    fn processes(&self) -> Vec<String> {
        self.nodes.iter().flat_map(|node| inventory::processes(node.root.path())).collect()
    }

    async fn containers(&self) -> usize {
        let mut count = 0;
        for node in &self.nodes {
            count += node.engine.list().await.expect("the engine").len();
        }
        count
    }
}

/// Containers outlive whoever made them, so they are deleted.
impl Drop for Rig {
    fn drop(&mut self) {
        let engines = self.nodes.iter().map(|node| node.engine.clone()).collect::<Vec<_>>();
        // A runtime of its own: the test's is going away.
        let clean = move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async move {
                for engine in engines {
                    for container in engine.list().await.unwrap_or_default() {
                        if let Err(error) = engine.delete(container.instance_id).await {
                            eprintln!("a container is left behind: {error}");
                        }
                    }
                }
            });
        };
        let _ = std::thread::spawn(clean).join();
    }
}
