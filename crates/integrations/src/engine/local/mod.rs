//! The embedded engine: each container is a supervised agent process on this machine, with a directory, a loopback
//! port and, where bubblewrap and cgroups are there, isolation and limits of its own.
//!
//! **Architecture invariant:** what the engine decides by (record, pid file, log, lock) lies outside of what the
//! container can write; inside `root/`, which it can, the engine opens nothing by a path that could be a symlink.

mod cgroup;
mod halt;
mod launch;
mod layout;
mod lock;
mod process;
mod record;
mod remove;
mod sandbox;
mod supervise;
mod user;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{clock::Clock, ids::InstanceId};
use tokio::sync::Notify;

use self::{
    cgroup::Cgroups,
    layout::{Layout, Paths},
    lock::Locks,
    process::ProcessMark,
    record::{Desired, Found, Record},
    sandbox::Sandbox,
};
use super::{Container, ContainerSpec, ContainerState, Engine, EngineError};

/// How containers are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Bubblewrap where it works, else none.
    #[default]
    Auto,
    /// Bubblewrap, or an error at the engine's start.
    Bubblewrap,
    /// None: a container is an ordinary process of this user. For development.
    None,
}

/// What a local engine needs to know.
#[derive(Clone)]
pub struct LocalConfig {
    /// Folder of all containers; made when missing. Nobody else writes there.
    pub root: PathBuf,
    /// The `zlh-agent` program.
    pub agent_program: PathBuf,
    /// How containers are kept apart.
    pub isolation: Isolation,
    /// Further folders that isolated containers may read, for example one with a Java of your own. Where the engine does
    /// not run as root, file modes do not protect what is in them: a container's user is, outside, the engine's.
    pub visible: Vec<PathBuf>,
    /// For the date of creation.
    pub clock: Arc<dyn Clock>,
}

/// What this machine lets the engine enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a report of independent yes/no facts")]
pub struct Capabilities {
    /// Containers see neither each other nor the rest of the machine's files.
    pub isolation: bool,
    /// Memory limits.
    pub memory: bool,
    /// Limits on processes and threads.
    pub pids: bool,
    /// CPU quotas.
    pub cpu: bool,
    /// Disk quotas: never, a plain directory has none.
    pub disk: bool,
}

/// Runs containers as processes of this machine. Cheap to clone.
#[derive(Clone)]
pub struct LocalEngine(Arc<Inner>);

pub(super) struct Inner {
    layout: Layout,
    agent_program: PathBuf,
    search_path: std::ffi::OsString,
    sandbox: Option<Sandbox>,
    cgroups: Cgroups,
    locks: Locks,
    clock: Arc<dyn Clock>,
    /// Notified when an agent ends.
    ended: Arc<Notify>,
}

impl std::fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEngine").field("root", &self.0.layout.root()).finish_non_exhaustive()
    }
}

impl LocalEngine {
    /// Opens the folder, finds out what the machine can enforce, and clears what a crash left half-made.
    pub async fn open(config: LocalConfig) -> Result<Self, EngineError> {
        let layout = Layout::open(&config.root)?;
        let agent_program = program(&config.agent_program)?;
        let sandbox = match config.isolation {
            Isolation::None => None,
            Isolation::Auto => Sandbox::probe(&layout, &agent_program, &config.visible)
                .await
                .inspect_err(|error| {
                    tracing::warn!(
                        error = crate::chain(error),
                        "bubblewrap does not work, and containers are not isolated from this machine: {}",
                        crate::chain(error)
                    );
                })
                .ok(),
            Isolation::Bubblewrap => Some(Sandbox::probe(&layout, &agent_program, &config.visible).await?),
        };
        let cgroups = Cgroups::probe(&agent_program).await;
        let locks = Locks::new(layout.locks());
        let ended = Arc::new(Notify::new());
        let search_path = launch::search_path(&config.visible);
        let clock = config.clock;
        let inner = Inner { layout, agent_program, search_path, sandbox, cgroups, locks, clock, ended };
        let engine = Self(Arc::new(inner));
        let root = engine.0.layout.root().display();
        tracing::info!(capabilities = ?engine.capabilities(), "the local engine keeps its containers in {root}");
        // One container's remains must not keep the others from being looked after; a delete tries again.
        if let Err(error) = engine.0.sweep_half_made().await {
            tracing::error!(
                error = crate::chain(&error),
                "what a crash left of a half-made container could not be removed; a delete of that server tries again"
            );
        }
        Ok(engine)
    }

    /// What this machine lets the engine enforce.
    pub fn capabilities(&self) -> Capabilities {
        let cgroup::Enforced { memory, pids, cpu } = self.0.cgroups.enforced();
        Capabilities { isolation: self.0.sandbox.is_some(), memory, pids, cpu, disk: false }
    }

    /// The folder that a container sees as its own: `agent/` and `data/` are in it.
    pub fn root_of(&self, id: InstanceId) -> PathBuf {
        self.0.layout.paths(id).root()
    }
}

impl Inner {
    async fn create(&self, spec: ContainerSpec) -> Result<(), EngineError> {
        let id = spec.instance_id;
        let _lock = self.locks.acquire(id).await?;
        let paths = self.layout.paths(id);
        let created_at = self.clock.now();
        blocking(move || match record::find(&paths, id)? {
            Found::NotOurs => Err(EngineError::NotOurs(id)),
            Found::Ours(record) => Record { spec, ..*record }.save(&paths),
            Found::Missing => record::make(&paths, &Record::new(spec, created_at)),
        })
        .await
    }

    async fn delete(&self, id: InstanceId) -> Result<(), EngineError> {
        let _lock = self.locks.acquire(id).await?;
        let paths = self.layout.paths(id);
        match record::find(&paths, id)? {
            Found::NotOurs => return Err(EngineError::NotOurs(id)),
            Found::Ours(mut record) => {
                record.desired = Desired::Stopped;
                record.save(&paths)?;
                self.kill(&paths).await?;
            }
            // A delete that was interrupted after its rename still has its trash.
            Found::Missing => {}
        }
        self.cgroups.remove(id).await?;
        blocking(move || record::remove(&paths)).await?;
        self.locks.forget(id);
        Ok(())
    }

    fn look(&self, id: InstanceId) -> Result<Option<Container>, EngineError> {
        let paths = self.layout.paths(id);
        let Found::Ours(record) = record::find(&paths, id)? else { return Ok(None) };
        let running = find_running(&paths, &record);
        Ok(Some(Container {
            instance_id: id,
            state: if running.is_some() { ContainerState::Running } else { ContainerState::Stopped },
            pid: running.map(|mark| mark.pid),
            created_at: record.created_at,
            resources: record.spec.resources,
            name: record.spec.name,
            ports: record.spec.ports,
        }))
    }

    /// Removes what an interrupted create or delete left, unless somebody is at it right now.
    async fn sweep_half_made(&self) -> Result<(), EngineError> {
        for id in self.layout.half_made()? {
            if let Some(_lock) = self.locks.try_acquire(id)? {
                let paths = self.layout.paths(id);
                blocking(move || record::sweep(&paths)).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Engine for LocalEngine {
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let (inner, spec) = (self.0.clone(), spec.clone());
        uninterrupted(async move { inner.create(spec).await }).await
    }

    async fn start(&self, id: InstanceId) -> Result<(), EngineError> {
        let inner = self.0.clone();
        uninterrupted(async move { inner.start(id).await }).await
    }

    async fn stop(&self, id: InstanceId, grace: Duration) -> Result<(), EngineError> {
        let inner = self.0.clone();
        uninterrupted(async move { inner.stop(id, grace).await }).await
    }

    async fn delete(&self, id: InstanceId) -> Result<(), EngineError> {
        let inner = self.0.clone();
        uninterrupted(async move { inner.delete(id).await }).await
    }

    async fn inspect(&self, id: InstanceId) -> Result<Option<Container>, EngineError> {
        let inner = self.0.clone();
        blocking(move || inner.look(id)).await
    }

    async fn list(&self) -> Result<Vec<Container>, EngineError> {
        let inner = self.0.clone();
        blocking(move || {
            let ids = inner.layout.instances()?;
            ids.into_iter().filter_map(|id| inner.look(id).transpose()).collect()
        })
        .await
    }

    async fn list_unmarked(&self) -> Result<Vec<InstanceId>, EngineError> {
        let inner = self.0.clone();
        blocking(move || {
            let mut unmarked = inner.layout.instances()?;
            unmarked.retain(|id| matches!(record::find(&inner.layout.paths(*id), *id), Ok(Found::NotOurs)));
            Ok(unmarked)
        })
        .await
    }
}

/// The container's outermost process: the recorded one, or (after a crash between spawn and record) the one that
/// named itself in the pid file.
fn find_running(paths: &Paths, record: &Record) -> Option<ProcessMark> {
    let root = paths.root();
    let ours = |mark: &ProcessMark| mark.is_alive() && process::runs_agent_of(mark.pid, &root);
    if let Some(mark) = record.process.filter(ours) {
        return Some(mark);
    }
    let pid = std::fs::read_to_string(paths.pid_file()).ok()?.trim().parse().ok()?;
    // The same number with another start time is a reused pid.
    let reused = record.process.is_some_and(|mark| mark.pid == pid);
    ProcessMark::of(pid).filter(|mark| !reused && ours(mark))
}

fn agent_addr(spec: &ContainerSpec) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, spec.agent_port))
}

fn program(path: &Path) -> Result<PathBuf, EngineError> {
    let missing = |_| EngineError::ProgramMissing(path.display().to_string());
    path.canonicalize().map_err(missing)
}

/// Runs file work where it blocks nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(interrupted(&error)))
}

/// Runs an operation to its end even if the caller loses interest: half of one would leave its lock free.
async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(interrupted(&error)))
}

fn interrupted(error: &tokio::task::JoinError) -> EngineError {
    EngineError::Transient { action: "finish an operation", reason: error.to_string() }
}

/// Names what was attempted when a file operation fails.
fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> EngineError {
    let action = action.into();
    move |source| EngineError::Io { action, source }
}
