//! A private PostgreSQL: a cluster that we made, in a folder of ours, on a Unix socket, with passwords.

mod binaries;
mod run_as;

pub use binaries::Binaries;
pub use run_as::RunAs;

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::{
    process::{self, Record},
    secrets, sockets, wait,
};

/// The superuser of a private cluster; owns the schema. Daemons have roles of their own.
pub const OWNER: &str = "zlh";

/// In the data folder of a cluster that we made. One without it is not ours, and is not touched.
const MARKER: &str = "zlh-private-cluster";

const STARTS_WITHIN: Duration = Duration::from_mins(1);
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// Whether commits survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// As in production.
    Full,
    /// For tests only: quick, and lost with the machine.
    None,
}

/// A cluster of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    folder: PathBuf,
    data: PathBuf,
    run_as: RunAs,
    durability: Durability,
    /// The owner's password.
    pub password: String,
    /// Where its socket is.
    #[serde(skip)]
    pub sockets: PathBuf,
    #[serde(skip)]
    binaries: Binaries,
}

/// The number in the name of the socket, which is the default.
const PORT: u16 = 5432;

impl Cluster {
    /// The cluster that is kept in `folder`; a new one where there is none.
    pub fn open(folder: &Path, durability: Durability) -> Result<Self> {
        let newest = || Binaries::find().context("PostgreSQL's server is not installed");
        let file = folder.join("cluster.json");
        match fs::read(&file) {
            Ok(bytes) => {
                let cluster: Self = serde_json::from_slice(&bytes).context("cluster.json")?;
                // What one version has made another does not read. Where it is hidden from us, it is the newest's.
                let binaries = match fs::read_to_string(cluster.data.join("PG_VERSION")) {
                    Ok(version) => Binaries::of(version.trim())?,
                    Err(_) => newest()?,
                };
                Ok(Self { binaries, sockets: cluster.run_as.sockets(folder, &cluster.data)?, ..cluster })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Self::create(folder, durability, RunAs::choose()?, newest()?)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Makes a cluster whose server runs as `run_as`.
    pub fn create(folder: &Path, durability: Durability, run_as: RunAs, binaries: Binaries) -> Result<Self> {
        secrets::private_folder(folder)?;
        let data = run_as.place(folder)?;
        if data.exists() {
            // The remains of a creation that was cut off: nobody knows the password that it got.
            fs::remove_dir_all(&data)?;
        }
        let mut cluster = Self {
            folder: folder.to_owned(),
            data,
            run_as,
            durability,
            password: secrets::password(),
            sockets: PathBuf::new(),
            binaries,
        };
        cluster.initdb()?;
        cluster.sockets = run_as.sockets(folder, &cluster.data)?;
        cluster.save()?;
        Ok(cluster)
    }

    fn initdb(&self) -> Result<()> {
        let password = self.run_as.secret_file(&self.data, &self.password)?;
        let mut command = self.run_as.command(&self.binaries.path("initdb"));
        command
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"])
            .arg(format!("--username={OWNER}"))
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", self.data.display()));
        if self.durability == Durability::None {
            command.arg("--no-sync");
        }
        let output = command.output().context("cannot run initdb")?;
        fs::remove_file(&password)?;
        ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
        fs::write(self.data.join(MARKER), "made by cargo xtask\n").context("cannot mark the cluster")
    }

    fn save(&self) -> Result<()> {
        secrets::write_private(&self.folder.join("cluster.json"), &serde_json::to_string_pretty(self)?)
    }

    /// Starts it, unless `record` is of a server that still runs.
    pub fn start(&self, record: Option<Record>, log: &Path) -> Result<(Record, Option<Child>)> {
        if let Some(record) = record.filter(Record::is_alive) {
            if record.port.is_none() {
                return Ok((record, None));
            }
            // One of an earlier version of this program, which listens on a port.
            Self::stop(&record)?;
        }
        ensure!(self.is_there(), "{} is not a cluster of ours", self.data.display());
        let mut command = self.run_as.command(&self.binaries.path("postgres"));
        // An empty list of addresses: no game shares this socket, as it does the machine's loopback.
        command.arg("-D").arg(&self.data).args(["-h", "", "-p"]).arg(PORT.to_string());
        command.arg("-k").arg(&self.sockets);
        for setting in self.settings() {
            command.arg("-c").arg(setting);
        }
        let mut child = process::spawn(command, log)?;
        let record = Record::of("postgres", child.id(), None)?;
        let ready = wait::until("PostgreSQL", STARTS_WITHIN, || {
            if !record.is_alive() {
                bail!("PostgreSQL ended while starting:\n{}", process::tail(log, 10));
            }
            Ok(self.is_ready(record.pid).then_some(()))
        });
        process::unless_ready(ready, &record, &mut child, STOPS_WITHIN)?;
        Ok((record, Some(child)))
    }

    fn settings(&self) -> Vec<&'static str> {
        let mut settings = vec!["max_connections=300", "log_min_messages=warning"];
        if self.durability == Durability::None {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        settings
    }

    /// The server writes its pid in the first line and how it is in the eighth.
    fn is_ready(&self, pid: i32) -> bool {
        let status = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<_> = status.lines().map(str::trim).collect();
        lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
    }

    /// Stops a server of this kind, disconnecting its clients.
    pub fn stop(record: &Record) -> Result<()> {
        record.stop(Signal::INT, STOPS_WITHIN)
    }

    /// Whether its data is there, and ours.
    pub fn is_there(&self) -> bool {
        self.data.join(MARKER).exists()
    }

    /// Removes a cluster that is stopped.
    pub fn remove(&self) -> Result<()> {
        ensure!(self.is_there(), "{} is not a cluster of ours", self.data.display());
        // The folder that holds only it, where that is another one than ours.
        fs::remove_dir_all(self.data.parent().unwrap_or(&self.data))?;
        if self.sockets.exists() {
            fs::remove_dir_all(&self.sockets)?;
        }
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    /// A URL for a role of this cluster. The role's password needs no quoting.
    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@{}:{PORT}/{database}", sockets::as_host(&self.sockets))
    }

    /// The owner's URL.
    pub fn owner_url(&self, database: &str) -> String {
        self.url(OWNER, &self.password, database)
    }

    /// Runs SQL as the owner and returns the rows, tab-separated. SQL and password are no arguments: those are public.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = std::process::Command::new(self.binaries.path("psql"))
            .args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(&self.sockets)
            .args(["-p", &PORT.to_string(), "-U", OWNER, "-d", database])
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run psql")?;
        psql.stdin.take().context("psql has no input")?.write_all(sql.as_bytes())?;
        let output = psql.wait_with_output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Makes a database unless it is there.
    pub fn ensure_database(&self, name: &str) -> Result<()> {
        let there = self.sql("postgres", &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"))?;
        if there.is_empty() {
            self.sql("postgres", &format!("CREATE DATABASE \"{name}\""))?;
        }
        Ok(())
    }

    /// A program that comes with this server, such as `pgbench`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.path(name)
    }
}

#[cfg(test)]
mod tests;
