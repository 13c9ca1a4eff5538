//! An engine in a folder of its own, which deletes its containers when the test ends, however it ends.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use domain::{
    agent::{AgentState, AgentStatus, PowerAction, Scope, ServiceSpec, TrustBundle},
    clock::Clock,
    ids::InstanceId,
    instance::Resources,
    token::{Signer, generate_key},
};
use integrations::{
    agent::{AgentApi, AgentClient, AgentSession},
    engine::{
        ContainerSpec, Engine,
        local::{Isolation, LocalConfig, LocalEngine},
    },
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct World {
    pub engine: LocalEngine,
    pub dir: TempDir,
    isolation: Isolation,
    signer: Arc<Signer>,
}

/// The agent's program: `ZLH_AGENT_BIN`, or beside the test's own build.
pub fn agent_program() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("zlh-agent");
    let program = std::env::var_os("ZLH_AGENT_BIN").map_or_else(beside, PathBuf::from);
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build -p agent`, or set ZLH_AGENT_BIN",
        program.display()
    );
    program
}

pub async fn open(root: &Path, isolation: Isolation) -> LocalEngine {
    open_showing(root, isolation, vec![]).await
}

pub async fn open_showing(root: &Path, isolation: Isolation, visible: Vec<PathBuf>) -> LocalEngine {
    let clock = Arc::new(WallClock);
    let config = LocalConfig { root: root.into(), agent_program: agent_program(), isolation, visible, clock };
    LocalEngine::open(config).await.unwrap()
}

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the agent in its own process checks tokens by the real time"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

impl World {
    pub async fn new(isolation: Isolation) -> Self {
        Self::showing(isolation, |_| vec![]).await
    }

    /// With folders that containers may read, chosen by the test's own folder.
    pub async fn showing(isolation: Isolation, visible: impl FnOnce(&Path) -> Vec<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Containers of their own users pass through it where nothing isolates them.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let visible = visible(dir.path());
        let engine = open_showing(&dir.path().join("containers"), isolation, visible).await;
        let signer = Arc::new(Signer::from_base64("provision-worker", &generate_key().unwrap()).unwrap());
        Self { engine, dir, isolation, signer }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("containers")
    }

    /// The engine as another process, or this one after a restart, would have it.
    pub async fn another_engine(&self) -> LocalEngine {
        open(&self.root(), self.isolation).await
    }

    pub fn spec(&self) -> ContainerSpec {
        spec(&self.signer)
    }

    pub async fn created(&self) -> ContainerSpec {
        let spec = self.spec();
        self.engine.create(&spec).await.unwrap();
        spec
    }

    pub async fn started(&self) -> ContainerSpec {
        let spec = self.created().await;
        self.engine.start(spec.instance_id).await.unwrap();
        spec
    }

    pub async fn pid(&self, id: InstanceId) -> Option<u32> {
        self.engine.inspect(id).await.unwrap().and_then(|container| container.pid)
    }

    pub fn data(&self, id: InstanceId) -> PathBuf {
        self.engine.root_of(id).join("data")
    }

    /// Enrols with the container's agent.
    pub async fn session(&self, spec: &ContainerSpec) -> Arc<dyn AgentSession> {
        let client = AgentClient::new(self.signer.clone(), Arc::new(WallClock));
        let addr = (Ipv4Addr::LOCALHOST, spec.agent_port).into();
        let secret = STANDARD.decode(&spec.trust.enrolment_secret).unwrap();
        let fingerprint = client.enrol(addr, spec.instance_id, &secret).await.unwrap();
        client.connect(addr, spec.instance_id, &fingerprint).unwrap()
    }

    /// Lets the agent run a shell script as its game, until it has printed `ready`.
    pub async fn play(&self, spec: &ContainerSpec, script: &str) -> Arc<dyn AgentSession> {
        let session = self.session(spec).await;
        session.put_service(&game(script)).await.unwrap();
        state_of(&session, |status| status.state == AgentState::Stopped).await;
        session.power(PowerAction::Start).await.unwrap();
        state_of(&session, |status| status.state == AgentState::Running).await;
        session
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let engine = self.engine.clone();
        // A runtime of its own: the test's is going away.
        let clean = move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async move {
                for container in engine.list().await.unwrap_or_default() {
                    let _ = engine.delete(container.instance_id).await;
                }
            });
        };
        let _ = std::thread::spawn(clean).join();
    }
}

pub fn spec(signer: &Signer) -> ContainerSpec {
    let instance_id = InstanceId::generate();
    let scopes = vec![Scope::Enrol, Scope::Observe, Scope::Install, Scope::Power];
    let trust = TrustBundle {
        instance_id,
        enrolment_secret: STANDARD.encode(signer.enrolment_secret(instance_id)),
        keys: vec![signer.trusted_key(scopes)],
    };
    let resources = Resources { memory_mib: 256, cpu_percent: 150, disk_mib: 1_024 };
    let agent_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    ContainerSpec { instance_id, name: "demo".into(), resources, pids: 100, ports: vec![], agent_port, trust }
}

/// A shell script as a game; it is ready once it prints `ready`, and has ten minutes to stop.
pub fn game(script: &str) -> ServiceSpec {
    let text = serde_json::json!({
        "revision": "1", "install": [],
        "run": {"argv": ["/bin/sh", "-c", script], "stop": {"grace_seconds": 600}},
        "ready": {"probe": {"kind": "log", "pattern": "^ready$"}, "deadline_seconds": 20},
    });
    serde_json::from_value(text).unwrap()
}

/// Follows the agent's status until it is as wanted.
pub async fn state_of(session: &Arc<dyn AgentSession>, wanted: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
    let deadline = Instant::now() + DEADLINE;
    let mut status = session.status(None, Duration::ZERO).await.unwrap();
    while !wanted(&status) {
        assert!(Instant::now() < deadline, "the agent stays at {status:?}");
        status = session.status(Some(status.revision), Duration::from_secs(1)).await.unwrap();
    }
    status
}

/// Looks again and again until there is something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "not seen in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Living processes whose arguments name this path.
pub fn processes_naming(path: &Path) -> Vec<(u32, Vec<String>)> {
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all = pids.filter_map(|pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let arguments: Vec<String> = String::from_utf8_lossy(&line).split('\0').map(str::to_owned).collect();
        arguments.iter().any(|argument| argument.contains(path.to_str().unwrap())).then_some((pid, arguments))
    });
    all.collect()
}

/// The pids of `zlh-agent run` itself for this container.
pub fn agents(root: &Path) -> Vec<u32> {
    let all = processes_naming(root).into_iter();
    all.filter(|(_, arguments)| arguments.get(1).is_some_and(|word| word == "run"))
        .map(|(pid, _)| pid)
        .collect()
}

pub fn kill_hard(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Directories of this container below any cgroup hierarchy.
pub fn cgroups(id: InstanceId) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mounts =
        mounts.lines().filter(|line| line.contains(" cgroup")).filter_map(|line| line.split(' ').nth(1));
    mounts
        .map(|mount| Path::new(mount).join("zlh").join(id.to_string()))
        .filter(|group| group.exists())
        .collect()
}
