//! A private stack: PostgreSQL, Redis and the daemons, in one folder, on sockets and loopback ports of its own.
//! `cargo xtask up` has one, and each fault test that needs to kill something has another.

mod config;
mod daemon;
mod instances;

pub use daemon::Daemon;
pub use instances::{kill_instances, running_instances};

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::{
    http::Http,
    interrupt,
    postgres::{Cluster, Durability},
    process::{self, Record},
    redis::Redis,
    secrets, sockets, wait,
};
use config::Ports;

/// The control plane's database in its private cluster.
pub const DATABASE: &str = "zlh";

/// The roles that the migrations create, with the daemon that has each.
const ROLES: &[(&str, Daemon)] = &[
    ("zlh_api", Daemon::Api),
    ("zlh_provision", Daemon::Worker),
    ("zlh_controller", Daemon::Controller),
    ("zlh_repair", Daemon::Repair),
    ("zlh_billing", Daemon::Billing),
];

const READY_WITHIN: Duration = Duration::from_secs(30);
/// Longer than a daemon's own drain.
const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// What a stack is made of and where.
#[derive(Clone, Debug)]
pub struct Places {
    /// Everything that the stack writes.
    pub home: PathBuf,
    /// The built programs.
    pub bin: PathBuf,
    /// Blueprints and plans.
    pub catalogue: PathBuf,
    /// The artifact tree.
    pub artifacts: PathBuf,
    /// Whether servers have names, at the sandbox; else players use their address and port.
    pub names: bool,
}

/// A private stack. Dropped, it leaves its processes running: [`stop`](Self::stop) ends them.
pub struct Stack {
    places: Places,
    /// Its PostgreSQL.
    pub cluster: Cluster,
    /// Its Redis.
    pub redis: Redis,
    ports: Ports,
    sockets: PathBuf,
    children: Vec<Child>,
}

impl Stack {
    /// The stack that is kept in `places.home`; a new one where there is none. Starts nothing.
    pub fn open(places: Places, durability: Durability) -> Result<Self> {
        secrets::private_folder(&places.home)?;
        for folder in ["run", "logs", "containers", "backups"] {
            secrets::private_folder(&places.home.join(folder))?;
        }
        let cluster = Cluster::open(&places.home.join("postgres"), durability)?;
        let redis = Redis::open(&places.home.join("redis"))?;
        let file = places.home.join("ports.json");
        let ports = match durability {
            Durability::Full => Ports::open(&file)?,
            Durability::None => Ports::reserve(&file)?,
        };
        let sockets = sockets::folder(&places.home)?;
        Ok(Self { places, cluster, redis, ports, sockets, children: Vec::new() })
    }

    /// Starts PostgreSQL unless it runs.
    pub fn start_postgres(&mut self) -> Result<()> {
        let started = self.cluster.start(self.record("postgres"), &self.log("postgres"))?;
        self.keep(started)?;
        self.cluster.ensure_database(DATABASE)
    }

    /// Starts Redis unless it runs.
    pub fn start_redis(&mut self) -> Result<()> {
        let started = self.redis.start(self.record("redis"), &self.log("redis"))?;
        self.keep(started)
    }

    /// Brings the database to the current schema, gives the daemons' roles passwords, and writes the configuration.
    pub fn configure(&mut self) -> Result<()> {
        let living = self.living();
        self.ports.settle(|daemon| living.iter().any(|name| name == daemon.name()))?;
        self.write_credentials()?;
        let api_key = fs::read_to_string(self.credentials(Daemon::Api).join("agent.key"))?;
        let text = config::text(
            &self.places,
            &self.sockets,
            &self.ports,
            &config::public_key(Daemon::Api, &api_key)?,
        );
        secrets::write_private(&self.config_file(), &text)?;
        let owner = self.places.home.join("postgres/owner.url");
        secrets::write_private(&owner, &self.cluster.owner_url(DATABASE))?;
        self.api_command(&["migrate", "--database-url-file", &owner.to_string_lossy()], None)
            .context("cannot bring the database to the current schema")?;
        self.set_role_passwords()
    }

    /// Each daemon gets its own role, key and queue address, in a folder as systemd's credentials.
    fn write_credentials(&self) -> Result<()> {
        // Those that sign addresses of the backup storage do so with one key.
        let objects_key =
            remembered(&self.places.home.join("objects.key"), || secrets::password() + &secrets::password())?;
        for (role, daemon) in ROLES {
            let folder = self.credentials(*daemon);
            secrets::private_folder(&folder)?;
            let password = remembered(&self.role_password(role), secrets::password)?;
            let url = self.cluster.url(role, &password, DATABASE);
            secrets::write_private(&folder.join("database.url"), &url)?;
            secrets::write_private(&folder.join("redis.url"), &self.redis.url())?;
            if matches!(daemon, Daemon::Api | Daemon::Worker) {
                let key = domain::token::generate_key()?;
                remembered(&folder.join("agent.key"), || key)?;
                if *daemon == Daemon::Api {
                    remembered(&folder.join("traefik.token"), secrets::password)?;
                }
                secrets::write_private(&folder.join("objects.key"), &objects_key)?;
            }
            if !matches!(daemon, Daemon::Api | Daemon::Billing) {
                secrets::write_private(&folder.join("edge.cloudflare_token"), config::ZONE)?;
            }
            if matches!(daemon, Daemon::Api | Daemon::Billing) {
                secrets::write_private(&folder.join("stripe.secret_key"), config::STRIPE_KEY)?;
            }
            if *daemon == Daemon::Api {
                let secret = folder.join("billing.webhook_secret");
                secrets::write_private(&secret, config::STRIPE_WEBHOOK_SECRET)?;
            }
            if *daemon == Daemon::Controller {
                secrets::write_private(&folder.join("discord.webhook_url"), &self.discord_webhook())?;
                secrets::write_private(&folder.join("mail.password"), config::SMTP_PASSWORD)?;
            }
        }
        Ok(())
    }

    fn set_role_passwords(&self) -> Result<()> {
        let mut statements = Vec::new();
        for (role, _) in ROLES {
            let password = fs::read_to_string(self.role_password(role))?;
            statements.push(format!("ALTER ROLE {role} PASSWORD '{password}';"));
        }
        self.cluster.sql(DATABASE, &statements.join("\n")).map(drop)
    }

    /// Runs a command of `zpack-api` with the stack's configuration; `input` is its standard input.
    pub fn api_command(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        self.command(Daemon::Api, arguments, input)
    }

    /// Runs a command of a daemon with the stack's configuration, and gives what it says.
    pub fn command(&self, daemon: Daemon, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let mut command = self.program(daemon);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().with_context(|| format!("cannot run {}", daemon.name()))?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            std::io::Write::write_all(&mut stdin, text.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let what = arguments.first().unwrap_or(&"");
        ensure!(output.status.success(), "{} {what}: {}", daemon.name(), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A daemon's program with the stack's configuration, at this terminal.
    pub fn at_terminal(&self, daemon: Daemon, arguments: &[String]) -> Result<std::process::ExitStatus> {
        self.program(daemon).args(arguments).status().with_context(|| format!("cannot run {}", daemon.name()))
    }

    fn program(&self, daemon: Daemon) -> Command {
        let mut command = Command::new(self.places.bin.join(daemon.name()));
        command
            .env("ZLH_CONFIG", self.config_file())
            .env("CREDENTIALS_DIRECTORY", self.credentials(daemon))
            .env_remove("NOTIFY_SOCKET");
        command
    }

    /// Starts a daemon unless it runs, and waits until it is ready.
    pub fn start(&mut self, daemon: Daemon) -> Result<()> {
        if self.is_alive(daemon) {
            return Ok(());
        }
        let program = self.program(daemon);
        let mut command = process::detached(program.get_program());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(daemon.arguments(&self.places, &self.ports));
        let child = process::spawn(command, &self.log(daemon.name()))?;
        let record = Record::of(daemon.name(), child.id(), self.ports.of(daemon))?;
        self.keep((record.clone(), Some(child)))?;
        self.await_ready(daemon, &record)
    }

    fn await_ready(&self, daemon: Daemon, record: &Record) -> Result<()> {
        let http = Http::new(&self.sandbox_url());
        wait::until(daemon.name(), READY_WITHIN, || {
            interrupt::check()?;
            if !record.is_alive() {
                let log = self.log(daemon.name());
                bail!("{} ended while starting:\n{}", daemon.name(), process::tail(&log, 10));
            }
            let ready = match daemon {
                Daemon::Sandbox => http.is_ok("/_catalog.json"),
                _ => sockets::is_ok(&self.health(daemon), "/readyz"),
            };
            Ok(ready.then_some(()))
        })
    }

    /// A daemon's socket of health and metrics.
    pub fn health(&self, daemon: Daemon) -> PathBuf {
        config::health(&self.sockets, daemon)
    }

    /// Whether a daemon's process is there.
    pub fn is_alive(&mut self, daemon: Daemon) -> bool {
        self.reap();
        self.record(daemon.name()).is_some_and(|record| record.is_alive())
    }

    /// Asks a daemon to stop, and waits for it.
    pub fn stop(&mut self, daemon: Daemon) -> Result<()> {
        self.end(daemon.name(), Signal::TERM)
    }

    /// Kills a daemon, as a fault does.
    pub fn kill(&mut self, daemon: Daemon) -> Result<()> {
        self.end(daemon.name(), Signal::KILL)
    }

    /// Stops PostgreSQL, disconnecting everybody.
    pub fn stop_postgres(&mut self) -> Result<()> {
        self.end("postgres", Signal::INT)
    }

    /// Stops Redis.
    pub fn stop_redis(&mut self) -> Result<()> {
        self.end("redis", Signal::TERM)
    }

    /// Stops the daemons and the game servers, then what they need. Goes on after a failure, and reports the first.
    pub fn stop_all(&mut self) -> Result<()> {
        let mut outcomes: Vec<_> = Daemon::ALL.iter().rev().map(|daemon| self.stop(*daemon)).collect();
        outcomes.push(kill_instances(&self.containers()));
        outcomes.push(self.stop_redis());
        outcomes.push(self.stop_postgres());
        outcomes.into_iter().collect()
    }

    fn end(&mut self, name: &str, signal: Signal) -> Result<()> {
        if let Some(record) = self.record(name) {
            record.stop(signal, STOPS_WITHIN)?;
            record.forget(&self.run());
            // A process is a zombie as soon as its first thread has ended; the others may hold its ports a little longer.
            if let Some(child) = self.children.iter_mut().find(|child| child.id().cast_signed() == record.pid)
            {
                child.wait()?;
            }
        }
        self.reap();
        Ok(())
    }

    /// Takes note of children that ended, which would otherwise stay in the process table.
    fn reap(&mut self) {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn keep(&mut self, (record, child): (Record, Option<Child>)) -> Result<()> {
        self.children.extend(child);
        record.write(&self.run())
    }

    fn record(&self, name: &str) -> Option<Record> {
        Record::read(&self.run(), name)
    }

    /// What runs of this stack, by name.
    pub fn records(&self) -> Vec<Record> {
        let names = ["postgres", "redis"].into_iter().chain(Daemon::ALL.iter().map(|daemon| daemon.name()));
        names.filter_map(|name| self.record(name)).filter(Record::is_alive).collect()
    }

    /// Names of what runs.
    pub fn living(&mut self) -> Vec<String> {
        self.reap();
        self.records().into_iter().map(|record| record.name).collect()
    }

    /// The API's address.
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.api())
    }

    /// The sandbox's address: it serves the artifact tree.
    pub fn sandbox_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.sandbox())
    }

    /// The sandbox's name server.
    pub fn names(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.names()).into()
    }

    /// Where operators are told.
    fn discord_webhook(&self) -> String {
        format!("{}/discord/api/webhooks/1/sandbox", self.sandbox_url())
    }

    /// What a client of the sandbox's services has to know.
    pub fn sandbox(&self) -> serde_json::Value {
        let page = self.sandbox_url();
        serde_json::json!({
            "page": page, "dns": self.names().to_string(),
            "cloudflare": { "url": format!("{page}/cloudflare/client/v4"), "token": config::ZONE, "zone": config::ZONE },
            "stripe": {
                "url": format!("{page}/stripe"), "key": config::STRIPE_KEY, "webhook_secret": config::STRIPE_WEBHOOK_SECRET,
            },
            "smtp": {
                "host": "127.0.0.1", "port": self.ports.smtp(), "username": config::SMTP_USERNAME,
                "password": config::SMTP_PASSWORD, "mailbox": format!("{page}/smtp"),
                "certificate": config::smtp_certificate(&self.places),
            },
            "discord": { "webhook": self.discord_webhook(), "messages": format!("{page}/discord/messages") },
        })
    }

    /// Where a server's players connect without a name.
    pub fn direct_address(&self, instance: &str) -> Result<Option<String>> {
        ensure!(instance.chars().all(|c| c.is_ascii_hexdigit() || c == '-'), "{instance} is not an id");
        let sql = format!(
            "SELECT n.public_host || ':' || p.port FROM port_allocations p JOIN nodes n ON n.id = p.node_id
             WHERE p.instance_id = '{instance}' AND p.name <> 'agent' ORDER BY p.port LIMIT 1"
        );
        let text = self.cluster.sql(DATABASE, &sql)?;
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// The daemons' configuration.
    pub fn config_file(&self) -> PathBuf {
        self.places.home.join("zlh.toml")
    }

    /// A daemon's secrets.
    pub fn credentials(&self, daemon: Daemon) -> PathBuf {
        self.places.home.join("credentials").join(daemon.name())
    }

    fn role_password(&self, role: &str) -> PathBuf {
        self.places.home.join("postgres").join(format!("{role}.password"))
    }

    /// The local engine's folder.
    pub fn containers(&self) -> PathBuf {
        self.places.home.join("containers")
    }

    /// Everything that the stack writes.
    pub fn home(&self) -> &Path {
        &self.places.home
    }

    fn run(&self) -> PathBuf {
        self.places.home.join("run")
    }

    /// A process's log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.places.home.join("logs").join(format!("{name}.log"))
    }
}

/// The secret in `file`; made when it is not there.
pub(crate) fn remembered(file: &Path, make: impl FnOnce() -> String) -> Result<String> {
    match fs::read_to_string(file) {
        Ok(secret) => Ok(secret),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = make();
            secrets::write_private(file, &secret)?;
            Ok(secret)
        }
        // Another one would not open what the first has closed.
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}
