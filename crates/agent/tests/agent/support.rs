//! Starts an agent in a folder of its own and talks to it as the control plane does.

use std::{
    io::{BufRead, BufReader},
    os::unix::{fs::lchown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Utc;
use domain::{
    agent::{
        AgentProblem, AgentState, AgentStatus, ConsoleMode, ConsoleTail, InstallStep, PowerAction,
        PowerRequest, Probe, ReadySpec, RunSpec, Runtime, Scope, ServiceSpec, StopSpec, TrustBundle,
    },
    ids::InstanceId,
    token::{Signer, generate_key},
};
use reqwest::{Client, Method, Response, StatusCode};
use serde::Serialize;
use tempfile::TempDir;

/// Longest wait for anything; reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whom an agent runs as that is not root: nobody's number on most systems, and as good as any other.
const USER: u32 = 65_534;

pub const ALL_SCOPES: [Scope; 8] = Scope::ALL;

pub struct TestAgent {
    pub root: TempDir,
    pub bundle: TrustBundle,
    pub signer: Signer,
    pub url: String,
    pub client: Client,
    child: Option<Child>,
    as_user: bool,
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        self.kill();
        // The game dies with its shim; what a game started in a session of its own does not.
        if let Some(shim) = self.shim() {
            kill_hard(shim);
            eventually("the shim is gone", || !is_alive(shim));
        }
        shim::leftovers::kill_all(&self.bundle.instance_id.to_string());
    }
}

/// A root folder with a trust bundle, and the key it trusts.
pub fn trusted_root() -> (TempDir, TrustBundle, Signer) {
    let root = TempDir::new().unwrap();
    let signer = Signer::from_base64("provision-worker", &generate_key().unwrap()).unwrap();
    let instance_id = InstanceId::generate();
    let bundle = TrustBundle {
        instance_id,
        enrolment_secret: STANDARD.encode(signer.enrolment_secret(instance_id)),
        keys: vec![signer.trusted_key(ALL_SCOPES.to_vec())],
    };
    write_bundle(root.path(), &bundle);
    (root, bundle, signer)
}

pub fn write_bundle(root: &Path, bundle: &TrustBundle) {
    std::fs::create_dir_all(root.join("agent")).unwrap();
    std::fs::write(root.join("agent/trust.json"), serde_json::to_vec(bundle).unwrap()).unwrap();
}

pub fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zlh-agent"));
    command.args(["run", "--listen", "127.0.0.1:0", "--root"]).arg(root);
    command.env("ZLH_AGENT_BACKOFF_MS", "20").env("ZLH_TEST_SECRET", "not-for-games");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The same as an ordinary user, as in a container: root reads and enters whatever it likes.
fn command_as_user(root: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return command(root);
    }
    // The build's own folder may be closed to others.
    let program = root.join("agent/program");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_zlh-agent"), &program).unwrap();
    }
    give_to_user(root);
    let mut command = Command::new(program);
    let plain = self::command(root);
    command.args(plain.get_args()).envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).uid(USER).gid(USER);
    command
}

fn give_to_user(path: &Path) {
    lchown(path, Some(USER), Some(USER)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_to_user(&entry.unwrap().path());
        }
    }
}

fn launch(root: &Path, as_user: bool) -> (Child, String) {
    let mut command = if as_user { command_as_user(root) } else { command(root) };
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines
        .find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            line["address"].as_str().map(str::to_owned)
        })
        .expect("the agent says where it listens");
    // Its log must be read on, or it would wait for room in the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, format!("https://{address}"))
}

impl TestAgent {
    pub fn start() -> Self {
        Self::start_as(false)
    }

    /// As an ordinary user: what a mode denies is denied.
    pub fn start_as_user() -> Self {
        Self::start_as(true)
    }

    fn start_as(as_user: bool) -> Self {
        let (root, bundle, signer) = trusted_root();
        let client = Client::builder()
            .danger_accept_invalid_certs(true)
            .tls_info(true)
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let (child, url) = launch(root.path(), as_user);
        Self { root, bundle, signer, url, client, child: Some(child), as_user }
    }

    /// Lets the files that the test has put there be the agent's own.
    pub fn own_data(&self) {
        if self.as_user && rustix::process::geteuid().is_root() {
            give_to_user(&self.data());
        }
    }

    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The shim of what runs, or ran last.
    pub fn shim(&self) -> Option<u32> {
        let run = std::fs::read(self.root.path().join("agent/shim/run.json")).ok()?;
        let run: shim::protocol::Run = serde_json::from_slice(&run).ok()?;
        let shim = u32::try_from(run.shim).ok()?;
        let name = std::fs::read_to_string(format!("/proc/{shim}/cmdline")).unwrap_or_default();
        (is_alive(shim) && name.contains(self.root.path().to_str()?)).then_some(shim)
    }

    /// The agent's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and its exit status.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    pub fn boot_again(&mut self) {
        assert!(self.child.is_none(), "still running");
        let (child, url) = launch(self.root.path(), self.as_user);
        (self.child, self.url) = (Some(child), url);
    }

    pub fn token(&self, scope: Scope) -> String {
        self.signer.sign(self.bundle.instance_id, scope, Utc::now())
    }

    pub async fn call(&self, method: Method, path: &str, scope: Scope, body: &impl Serialize) -> Response {
        let request =
            self.client.request(method, format!("{}{path}", self.url)).bearer_auth(self.token(scope));
        request.json(body).send().await.unwrap()
    }

    pub async fn put(&self, spec: &ServiceSpec) -> Result<AgentStatus, (StatusCode, String)> {
        answer(self.call(Method::PUT, "/v1/service", Scope::Install, spec).await).await
    }

    pub async fn power(&self, action: PowerAction) -> Result<AgentStatus, (StatusCode, String)> {
        answer(self.call(Method::POST, "/v1/power", Scope::Power, &PowerRequest { action }).await).await
    }

    pub async fn status(&self) -> AgentStatus {
        answer(self.call(Method::GET, "/v1/status", Scope::Observe, &()).await).await.unwrap()
    }

    pub async fn tail(&self) -> Vec<String> {
        let response = self.call(Method::GET, "/v1/console/tail?lines=1000", Scope::Observe, &()).await;
        response.json::<ConsoleTail>().await.unwrap().lines
    }

    /// Waits until this is the last line said. Reads only the newest, as the oldest goes away meanwhile.
    pub async fn until_said(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while self.tail().await.last().is_none_or(|last| last != text) {
            assert!(Instant::now() < end, "never {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Follows the status by long polls until `wanted`, and gives every state seen.
    pub async fn follow(&self, wanted: impl Fn(&AgentStatus) -> bool) -> (AgentStatus, Vec<AgentState>) {
        let end = Instant::now() + PATIENCE;
        let (mut since, mut seen) = (0, Vec::new());
        loop {
            let path = format!("/v1/status?since={since}&wait_ms=5000");
            let response = self.call(Method::GET, &path, Scope::Observe, &()).await;
            let status: AgentStatus = answer(response).await.unwrap();
            since = status.revision;
            seen.push(status.state);
            if wanted(&status) {
                return (status, seen);
            }
            assert!(Instant::now() < end, "still {status:?}; output: {:?}", self.tail().await);
        }
    }

    pub async fn until(&self, state: AgentState) -> AgentStatus {
        self.follow(|status| status.state == state).await.0
    }

    /// Until the installation has ended, one way or the other.
    pub async fn until_installed(&self) -> AgentStatus {
        let ended = [AgentState::Stopped, AgentState::Error];
        self.follow(|status| ended.contains(&status.state)).await.0
    }

    /// Installs and starts `spec` and waits for `state`.
    pub async fn run(&self, spec: &ServiceSpec, state: AgentState) -> AgentStatus {
        self.put(spec).await.unwrap();
        assert_eq!(self.until_installed().await.error, None);
        self.power(PowerAction::Start).await.unwrap();
        self.until(state).await
    }

    /// Installs `steps` and waits for the end.
    pub async fn install(&self, revision: &str, steps: Vec<InstallStep>) -> AgentStatus {
        let spec = ServiceSpec { revision: revision.into(), install: steps, ..script("exit 0") };
        self.put(&spec).await.unwrap();
        self.until_installed().await
    }
}

async fn answer(response: Response) -> Result<AgentStatus, (StatusCode, String)> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.json().await.unwrap());
    }
    Err((status, response.json::<AgentProblem>().await.unwrap().code))
}

/// A game that is a shell script, ready when it prints `READY`, stopped by the line `stop`.
pub fn script(text: &str) -> ServiceSpec {
    ServiceSpec {
        revision: "1".into(),
        install: vec![],
        run: RunSpec {
            argv: vec!["/bin/sh".into(), "-c".into(), text.into()],
            runtime: Runtime::None,
            env: [("GREETING".to_owned(), "hello".to_owned())].into(),
            stop: StopSpec { line: Some("stop".into()), grace_seconds: 20 },
            console: ConsoleMode::Pipes,
        },
        ready: ReadySpec { probe: Probe::Log { pattern: "^READY$".into() }, deadline_seconds: 20 },
        disk_limit_bytes: None,
    }
}

/// A script that is ready, says what it reads, and ends at `stop`.
pub fn well_behaved() -> ServiceSpec {
    script(
        "echo READY; while read line; do echo \"got $line\"; [ \"$line\" = stop ] && echo bye > stopped && exit 0; done",
    )
}

/// Whether a process with this id is there, and not only waits to be collected.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

/// As `kill -9` does; gone already is as good.
pub fn kill_hard(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// Looks again and again until `holds`.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process id that a script wrote to a file in the data folder.
pub fn pid_in(file: &Path) -> u32 {
    let mut pid = None;
    eventually("a pid file", || {
        pid = std::fs::read_to_string(file).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}
