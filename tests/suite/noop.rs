//! A daemon of under a hundred lines has everything that a daemon has: `zlh-noop`, killed and taken over.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command},
    time::Duration,
};

use store::{
    queue::{Queue, QueueName, notify_now},
    testing::{REDIS_ENV, TestDatabase, noop, required},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use zlh_tests::PortRange;

/// Invariant 2: the row of a killed worker is taken over within this time.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);

struct Rig {
    database: TestDatabase,
    prefix: String,
    ports: PortRange,
    folder: TempDir,
}

/// A running `zlh-noop`; killed when dropped.
struct Noop {
    process: Child,
    port: u16,
}

impl Drop for Noop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Rig {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        noop::create_table(&database).await;
        let prefix = format!("test-{}", Uuid::now_v7());
        Self { database, prefix, ports: PortRange::take(), folder: tempfile::tempdir().unwrap() }
    }

    fn queue(&self) -> Queue<Uuid> {
        Queue::new(&required(REDIS_ENV).into(), &self.prefix, QueueName::Repair).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a test of processes starts one")]
    async fn start(&self, nth: u16, work: Duration) -> Noop {
        use store::testing::ExposeSecret as _;
        let url = self.database.url_with("zlh_noop", noop::RIGHTS).await;
        let port = self.ports.range().start() + nth;
        let process = Command::new(env!("CARGO_BIN_EXE_zlh-noop"))
            .env("ZLH_DATABASE__URL", url.expose_secret())
            .env("ZLH_REDIS__URL", required(REDIS_ENV))
            .env("ZLH_REDIS__QUEUE_PREFIX", &self.prefix)
            .env("ZLH_HEALTH__LISTEN", format!("127.0.0.1:{port}"))
            .env("NOOP_WORK_MS", work.as_millis().to_string())
            .stderr(File::create(self.log(nth)).unwrap())
            .spawn()
            .unwrap();
        let noop = Noop { process, port };
        until("it is ready", async || noop.get("/readyz").starts_with("HTTP/1.1 200")).await;
        noop
    }

    fn log(&self, nth: u16) -> std::path::PathBuf {
        self.folder.path().join(format!("{nth}.log"))
    }

    async fn column(&self, name: &str) -> String {
        self.database.text(&format!("SELECT COALESCE({name}::text, '') FROM noop_jobs")).await
    }
}

impl Noop {
    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what} never came to be");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noop_daemon_works_is_killed_and_is_taken_over() {
    let rig = Rig::new().await;
    let owner = rig.database.owner();
    let mut first = rig.start(0, Duration::from_mins(10)).await;
    notify_now(&owner, &rig.queue(), noop::insert(&owner).await.unwrap()).await;
    until("a claim", async || rig.column("lease_term").await == "1").await;
    // A renewal, seen by a lease that ends later than the claim's.
    let claimed_until = rig.column("lease_expires_at").await;
    until("a renewal", async || rig.column("lease_expires_at").await > claimed_until).await;
    first.process.kill().unwrap();
    let killed = Instant::now();

    let second = rig.start(1, Duration::ZERO).await;
    until("the takeover", async || !rig.column("done_by").await.is_empty()).await;

    assert_eq!(rig.column("done_by").await, second.process.id().to_string());
    assert_eq!(rig.column("lease_term").await, "2", "one claim each");
    assert!(killed.elapsed() < TAKEN_OVER_WITHIN, "{:?}", killed.elapsed());
    let health = second.get("/healthz");
    for task in ["nothing", "sweep"] {
        assert!(health.contains(&format!("\"name\":\"{task}\"")), "{health}");
    }
    let measured = [
        "zlh_periodic_runs_total{task=\"nothing\",outcome=\"succeeded\"}",
        "zlh_queue_due{queue=\"repair\"} 0",
    ];
    until("its metrics", async || {
        let metrics = second.get("/metrics");
        measured.iter().all(|line| metrics.contains(line))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_job_never_reached_the_queue_is_found_by_the_sweep() {
    let rig = Rig::new().await;
    let noop = rig.start(0, Duration::ZERO).await;
    drop(noop::insert(&rig.database.owner()).await.unwrap());
    until("it is done", async || !rig.column("done_by").await.is_empty()).await;
    let log = std::fs::read_to_string(rig.log(0)).unwrap();
    assert!(log.contains("1 noops are due and no worker holds them; enqueueing them again"), "{log}");
    drop(noop);
}
