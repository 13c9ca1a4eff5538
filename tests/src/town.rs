//! A whole stack of its own for one test: PostgreSQL, Redis, the daemons as processes, and customers who use the API.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::{
    http::{Answer, Http},
    postgres::Durability,
    stack::{DATABASE, Daemon, Places, Stack},
};

use crate::{inventory, program};

/// Everything of a test ends long before.
const PATIENCE: Duration = Duration::from_secs(90);

/// Every customer's.
pub const PASSWORD: &str = "correct horse battery staple";

/// Polls until there is an answer; fails the test at the deadline.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The stack. Dropped, it stops everything and removes its folder.
pub struct Town {
    /// The processes.
    pub stack: Stack,
    _home: TempDir,
}

impl Town {
    /// Starts everything, with the repository's catalogue and these further blueprints (TOML).
    pub fn start(blueprints: &[&str]) -> Self {
        Self::open(blueprints, false)
    }

    /// Starts everything; servers have names at the sandbox.
    pub fn start_with_names() -> Self {
        Self::open(&[], true)
    }

    fn open(blueprints: &[&str], names: bool) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let catalogue = home.path().join("catalogue");
        copy_catalogue(&catalogue);
        for (n, text) in blueprints.iter().enumerate() {
            fs::write(catalogue.join(format!("blueprints/test-{n}.toml")), text).expect("a blueprint");
        }
        let places = Places {
            home: home.path().join("stack"),
            bin: program("zlh-agent").parent().expect("a folder").to_owned(),
            catalogue,
            artifacts: PathBuf::from(store::testing::required("ZLH_TEST_ARTIFACTS")),
            names,
        };
        let mut stack = Stack::open(places, Durability::None).expect("a stack");
        stack.start_postgres().expect("PostgreSQL");
        stack.start_redis().expect("Redis");
        stack.configure().expect("a configuration");
        for daemon in [Daemon::Sandbox, Daemon::Api, Daemon::Worker] {
            stack.start(daemon).expect("a daemon");
        }
        Self { stack, _home: home }
    }

    /// A new customer, signed in, who may have many servers.
    pub fn customer(&self, name: &str) -> Customer {
        let email = format!("{name}@example.com");
        let create = ["create-customer", &email, "--instance-limit", "50"];
        self.stack.api_command(&create, Some(PASSWORD)).expect("an account");
        self.sign_in(&email)
    }

    /// A customer with this address, signed in once more.
    pub fn sign_in(&self, email: &str) -> Customer {
        let (origin, http) = (self.stack.api_url(), Http::new(&self.stack.api_url()));
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = http.post("/api/auth/login", &[("origin", &origin)], &body).expect("an answer");
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        Customer { http, origin, cookie: answer.cookie.expect("a cookie") }
    }

    /// One number from the database.
    pub fn count(&self, sql: &str) -> i64 {
        let text = self.stack.cluster.sql(DATABASE, sql).expect("the database");
        text.trim().parse().unwrap_or_else(|_| panic!("{sql}: {text:?}"))
    }

    /// One text from the database.
    pub fn text(&self, sql: &str) -> String {
        self.stack.cluster.sql(DATABASE, sql).expect("the database").trim().to_owned()
    }

    /// Writes a file of a server's, as its page does; the answer's status.
    pub fn put_file(&self, customer: &Customer, id: &str, path: &str, content: &str) -> u16 {
        let path = format!("/api/instances/{id}/files/content?path={path}");
        let http = Http::new(&self.stack.api_url());
        http.put_text(&path, &customer.browser(), content).expect("an answer").status
    }

    /// Runs a statement as the schema's owner.
    pub fn sql(&self, sql: &str) {
        self.stack.cluster.sql(DATABASE, sql).expect("the database");
    }

    /// Lets Redis forget everything.
    pub fn flush_redis(&self) {
        let redis = &self.stack.redis;
        let (password, mut stream) = (&redis.password, UnixStream::connect(&redis.socket).expect("Redis"));
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a deadline");
        stream.write_all(format!("AUTH {password}\r\nFLUSHALL\r\n").as_bytes()).expect("Redis");
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).expect("Redis");
        assert_eq!(&answer, b"+OK\r\n+OK\r\n");
    }

    /// Makes the artifact source misbehave below a path: `not_found`, `wrong_bytes`, `cut`.
    pub fn disturb_artifacts(&self, path_prefix: &str, kind: &str) {
        let body = json!({ "path_prefix": path_prefix, "kind": kind, "after_bytes": 1_000 });
        let answer = self.sandbox().post("/_faults", &[], &body).expect("the sandbox");
        assert_eq!(answer.status, 204, "{:?}", answer.body);
    }

    /// Ends that.
    pub fn calm_artifacts(&self) {
        assert_eq!(self.sandbox().delete("/_faults", &[]).expect("the sandbox").status, 204);
    }

    fn sandbox(&self) -> Http {
        Http::new(&self.stack.sandbox_url())
    }

    /// Command lines of the processes of game servers and agents.
    pub fn game_processes(&self) -> Vec<String> {
        inventory::processes(&self.stack.containers())
    }

    /// The agents themselves, not what is around or beside them.
    pub fn agents(&self) -> Vec<i32> {
        let all = inventory::processes_by_pid(&self.stack.containers()).into_iter();
        all.filter(|(_, line)| line.split(' ').nth(1) == Some("run") && line.contains("agent run --root "))
            .map(|(pid, _)| pid)
            .collect()
    }

    /// Kills every agent, and gives what they were.
    pub fn kill_agents(&self) -> Vec<i32> {
        let agents = self.agents();
        assert!(!agents.is_empty(), "{:?}", self.game_processes());
        agents.iter().copied().for_each(kill);
        agents
    }

    /// Kills all that runs of the containers, from the outermost process to the game.
    pub fn kill_containers(&self) {
        for (pid, _) in inventory::processes_by_pid(&self.stack.containers()) {
            kill(pid);
        }
    }

    /// What servers hold: live instances, ports, capacity, containers on disk, processes. All zero when there are none.
    pub fn holdings(&self) -> [i64; 5] {
        let containers = inventory::files(&self.stack.containers());
        let made = containers.iter().filter(|path| path.ends_with("container.json")).count();
        [
            self.count(
                "SELECT count(*) FROM instances WHERE lifecycle IN ('provisioning', 'active', 'deleting')",
            ),
            self.count("SELECT count(*) FROM port_allocations WHERE instance_id IS NOT NULL"),
            self.count("SELECT sum(used_memory_mib + used_cpu_percent + used_disk_mib) FROM nodes"),
            i64::try_from(made).expect("a count"),
            i64::try_from(self.game_processes().len()).expect("a count"),
        ]
    }

    /// Waits until servers hold nothing.
    pub fn expect_nothing_left(&self) {
        let mut last = [0; 5];
        let nothing = (0..200).any(|_| {
            last = self.holdings();
            thread::sleep(Duration::from_millis(20));
            last == [0; 5]
        });
        assert!(nothing, "left: {last:?}; {:?}", self.game_processes());
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if thread::panicking() {
            for name in ["zpack-api", "zpack-provision-worker", "zpack-billing-worker"] {
                let log = fs::read_to_string(self.stack.log(name)).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(40).collect();
                eprintln!("--- {name}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
        let stopped = self.stack.stop_all();
        if !thread::panicking() {
            stopped.expect("everything stops");
        }
        // PostgreSQL's files may be another user's; root removes them with the folder.
        let _ = self.stack.cluster.remove();
    }
}

fn copy_catalogue(to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue");
    fs::create_dir_all(to.join("blueprints")).expect("a folder");
    fs::copy(from.join("plans.toml"), to.join("plans.toml")).expect("the plans");
    for entry in fs::read_dir(from.join("blueprints")).expect("the blueprints").flatten() {
        fs::copy(entry.path(), to.join("blueprints").join(entry.file_name())).expect("a blueprint");
    }
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Customer {
    http: Http,
    origin: String,
    cookie: String,
}

impl Customer {
    /// Headers of what they do in a browser: its page's origin, and their session.
    pub fn browser(&self) -> [(&'static str, &str); 2] {
        [("origin", &self.origin), ("cookie", &self.cookie)]
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.http.get(path, &[("cookie", &self.cookie)]).expect("an answer")
    }

    /// POST; `key` is the idempotency key.
    pub fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        let mut headers = vec![("cookie", self.cookie.as_str()), ("origin", &self.origin)];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.http.post(path, &headers, body).expect("an answer")
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Answer {
        let headers = [("cookie", self.cookie.as_str()), ("origin", &self.origin)];
        self.http.delete(path, &headers).expect("an answer")
    }

    /// Asks for a server; the answer must be 202. Returns the instance's id and the operation's path.
    pub fn create(&self, name: &str, blueprint: &str, variant: &str) -> (String, String) {
        let body = json!({ "name": name, "blueprint": blueprint, "variant": variant, "plan": "small" });
        // Printable whatever the name is.
        let key = format!("key-{}", name.escape_unicode());
        let answer = self.post("/api/instances", Some(&key), &body);
        assert_eq!(answer.status, 202, "{:?}", answer.body);
        let id = answer.body["instance"]["id"].as_str().expect("an id").to_owned();
        (id, answer.location.expect("a location"))
    }

    /// Waits until an operation has ended; returns it.
    pub fn follow(&self, operation: &str) -> Value {
        eventually("the operation's end", || {
            let now = self.get(operation).body;
            matches!(now["state"].as_str(), Some("succeeded" | "failed" | "stuck")).then_some(now)
        })
    }

    /// A server that is there: asks and waits. Returns its id and its address.
    pub fn server(&self, name: &str, blueprint: &str, variant: &str) -> (String, String) {
        let (id, operation) = self.create(name, blueprint, variant);
        let ended = self.follow(&operation);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let instance = self.get(&format!("/api/instances/{id}")).body;
        assert_eq!(instance["lifecycle"], "active", "{instance}");
        (id, instance["address"].as_str().expect("an address").to_owned())
    }

    /// Deletes a server and waits until it is gone.
    pub fn remove(&self, id: &str) {
        let answer = self.delete(&format!("/api/instances/{id}"));
        assert_eq!(answer.status, 202, "{:?}", answer.body);
        let ended = self.follow(&answer.location.expect("a location"));
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(self.get(&format!("/api/instances/{id}")).status, 404);
    }
}

/// As `kill -9` does; gone already is as good.
fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
