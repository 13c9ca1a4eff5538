//! Everything around the API.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use integrations::{
    agent::FakeAgents,
    artifacts::{FakeArtifacts, Manifest},
    objects::FakeObjects,
};
use runtime::clock::{Clock as _, ManualClock};
use serde_json::{Value, json};
use store::{
    Db,
    nodes::NodeSpec,
    queue::{Notifier, Queue, QueueName},
    testing::{REDIS_ENV, TestDatabase, required},
};
use tempfile::TempDir;
use zpack_api::{
    app::{self, App},
    config::ApiConfig,
    console, events,
    router::router,
    serve::{ConnectionLimits, Server, TrustedProxies},
};

use super::Client;

/// Every test account's.
pub const PASSWORD: &str = "a quite unusual phrase";

const PLANS: &str = r#"
[[plan]]
id = "small"
name = "Small"
kind = "game"
backups = 2
price_minor = 500
currency = "EUR"
resources = { memory_mib = 1024, cpu_percent = 100, disk_mib = 4096 }

[[plan]]
id = "workspace"
name = "Workspace"
kind = "dev"
backups = 2
price_minor = 900
currency = "EUR"
resources = { memory_mib = 2048, cpu_percent = 200, disk_mib = 8192 }
"#;

const FREE_GAME: &str = r#"
id = "free-game"
name = "Free game"
summary = "Needs nothing."
kind = "game"
min_memory_mib = 256
ports = [{ name = "game", protocol = "udp" }]
[[variants]]
id = "standard"
name = "Standard"
versions = ["2.0", "1.0"]
run = { argv = ["./game"], stop_grace_seconds = 5 }
ready = { probe = { kind = "log", pattern = "ready" }, deadline_seconds = 30 }
"#;

const LICENSED_GAME: &str = r#"
id = "licensed-game"
name = "Licensed game"
summary = "Needs a licence and files."
kind = "game"
min_memory_mib = 512
eula = { name = "The licence", url = "https://example.org/licence" }
ports = [{ name = "game", protocol = "tcp" }, { name = "query", protocol = "udp" }]
[[variants]]
id = "standard"
name = "Standard"
install = [{ kind = "artifact", file = "server.jar", path = "server.jar" }]
run = { argv = ["./game"], stop_grace_seconds = 5 }
ready = { probe = { kind = "tcp", port = "game" }, deadline_seconds = 30 }
"#;

const WORKSPACE: &str = r#"
id = "workspace"
name = "Workspace"
summary = "Something to write programs with."
kind = "dev"
min_memory_mib = 256
[[variants]]
id = "standard"
name = "Standard"
versions = ["1.0"]
run = { argv = ["./ide", "{{ide_socket}}"], stop_grace_seconds = 5 }
ready = { probe = { kind = "log", pattern = "ready" }, deadline_seconds = 30 }
"#;

/// A running API.
pub struct World {
    pub base: String,
    pub app: App,
    pub database: TestDatabase,
    pub clock: ManualClock,
    pub agents: Arc<FakeAgents>,
    pub artifacts: Arc<FakeArtifacts>,
    pub objects: Arc<FakeObjects>,
    _catalogue: TempDir,
}

/// What a test wants otherwise than usual.
pub struct Arrangement {
    pub config: ApiConfig,
    /// Reaches the database in another way than directly.
    pub db: Option<Db>,
    pub database: TestDatabase,
}

impl Arrangement {
    pub async fn usual() -> Self {
        let mut config = ApiConfig::default();
        // Tests make many accounts from one address; the bounds have tests of their own.
        let many = std::num::NonZeroU32::new(10_000).unwrap();
        config.rate_limits.login_per_minute_by_address = many;
        config.rate_limits.register_per_hour_by_address = many;
        config.rate_limits.mail_per_hour_by_address = many;
        config.api.default_instance_limit = 100;
        config.billing.free_instances = 100;
        config.api.password_queue = 1_000;
        Self { config, db: None, database: TestDatabase::create().await }
    }

    /// Starts the API.
    pub fn start(mut self) -> World {
        let catalogue = catalogue();
        catalogue.path().clone_into(&mut self.config.catalogue.dir);
        let clock = ManualClock::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let (agents, artifacts) = (Arc::new(FakeAgents::default()), Arc::new(FakeArtifacts::default()));
        let objects = Arc::new(FakeObjects::default());
        for version in ["1.9", "1.20.4", "1.21"] {
            artifacts.add("licensed-game", "standard", version, Manifest::default());
        }
        let db = self.db.unwrap_or_else(|| self.database.role("zlh_api"));
        let prefix = format!("test-{}", uuid::Uuid::now_v7().simple());
        let queue = Queue::new(&required(REDIS_ENV).into(), &prefix, QueueName::Provisioning).unwrap();
        let billing =
            Queue::new(&required(REDIS_ENV).into(), &prefix, QueueName::BillingEnforcement).unwrap();
        let services = app::Services {
            notifier: Notifier::start(db.clone(), queue),
            billing_notifier: Notifier::start(db.clone(), billing),
            db,
            clock: Arc::new(clock.clone()),
            agents: agents.clone(),
            objects: objects.clone(),
            artifacts: artifacts.clone(),
        };
        let app = App::new(&self.config, services).unwrap();
        let limits = ConnectionLimits {
            total: self.config.api.max_connections as usize,
            per_address: self.config.api.max_connections_per_address as usize,
            proxies: TrustedProxies([].into()),
        };
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), limits).unwrap();
        let base = format!("http://{}", server.address().unwrap());
        tokio::spawn(server.serve(router(app.clone())));
        feed_events(&app);
        World { base, app, database: self.database, clock, agents, artifacts, objects, _catalogue: catalogue }
    }
}

/// As the daemon does it, at the same periods.
fn feed_events(app: &App) {
    tokio::spawn(events::run_feed(app.db.clone(), app.events.clone()));
    let app = app.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            // While a test keeps the database away, the next look follows.
            let _ = app.credentials.end_expired(&app.events).await;
            let _ = console::end_forbidden(&app.db, &app.consoles, &app.credentials).await;
        }
    });
}

/// A create request that will do.
pub fn order(name: &str) -> Value {
    json!({ "name": name, "blueprint": "free-game", "variant": "standard", "plan": "small" })
}

fn catalogue() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let blueprints = folder.path().join("blueprints");
    std::fs::create_dir(&blueprints).unwrap();
    std::fs::write(folder.path().join("plans.toml"), PLANS).unwrap();
    std::fs::write(blueprints.join("free.toml"), FREE_GAME).unwrap();
    std::fs::write(blueprints.join("licensed.toml"), LICENSED_GAME).unwrap();
    std::fs::write(blueprints.join("workspace.toml"), WORKSPACE).unwrap();
    folder
}

impl World {
    pub async fn start() -> Self {
        Arrangement::usual().await.start()
    }

    pub fn anonymous(&self) -> Client {
        Client::anonymous(&self.base)
    }

    pub async fn customer(&self, name: &str) -> Client {
        Client::register(&self.base, &format!("{name}@example.org")).await
    }

    pub async fn operator(&self) -> Client {
        let client = self.customer("operator").await;
        // As the command line makes one, where nobody is asked whether the address is theirs.
        let make = "UPDATE customers SET role = 'operator', email_verified_at = now() WHERE email LIKE 'operator@%';
                    DELETE FROM mailed_links USING customers c WHERE c.id = customer_id AND c.role = 'operator';
                    DELETE FROM notifications WHERE recipient LIKE 'operator@%'";
        self.database.execute(make).await;
        client
    }

    /// A point in the clock's future, as text.
    pub fn in_days(&self, days: i64) -> String {
        let then: DateTime<Utc> = self.clock.now() + TimeDelta::days(days);
        then.to_rfc3339()
    }

    /// A node with room for this many small servers.
    pub async fn node(&self, name: &str, servers: i64) {
        let spec = NodeSpec {
            name: name.to_owned(),
            public_host: "play.example.org".to_owned(),
            agent_host: "127.0.0.1".to_owned(),
            memory_mib: 1_024 * servers,
            cpu_percent: 100 * servers,
            disk_mib: 4_096 * servers,
            ports: 40_000..=40_499,
        };
        store::nodes::register(&self.database.role("zlh_provision"), &spec, self.clock.now()).await.unwrap();
    }

    /// A server whose create has succeeded, as the worker leaves it. Its id.
    pub async fn active_instance(&self, owner: &Client, name: &str) -> String {
        self.active(owner, &order(name)).await
    }

    /// The same for any order.
    pub async fn active(&self, owner: &Client, order: &Value) -> String {
        let answer = owner.create(order["name"].as_str().unwrap(), order).await.expect(202);
        let id = answer.at("/instance/id").as_str().unwrap().to_owned();
        let fingerprint = integrations::agent::Fingerprint::of(id.as_bytes());
        self.database
            .execute(&format!(
                "UPDATE operations SET state = 'succeeded', finished_at = now() WHERE instance_id = '{id}';
                 UPDATE instances SET lifecycle = 'active', observed_power = 'running',
                        agent_fingerprint = '{fingerprint}', address = 'play.example.org:40000' WHERE id = '{id}'"
            ))
            .await;
        id
    }

    /// Waits until it holds, at most 10 s.
    pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !holds().await {
            assert!(tokio::time::Instant::now() < deadline, "not within 10 s: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
