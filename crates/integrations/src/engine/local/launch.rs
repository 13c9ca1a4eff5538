//! Starting a container: groups, trust bundle, then `enter`, bubblewrap and the agent, each replacing the former.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use domain::{agent::TrustBundle, ids::InstanceId};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, openat, openat2, renameat, unlinkat},
    io::Errno,
};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{
    EngineError, Inner, agent_addr, blocking, cgroup::Limits, find_running, io, layout::Paths,
    process::ProcessMark, record, record::Desired, record::Found, record::Record, sandbox::Inside,
    user::User,
};

/// From spawn to listening; measured at about 60 ms.
const LISTEN_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
/// The agent's own log is turned over at a start when it is longer than this, in bytes.
const LOG_LIMIT: u64 = 1 << 20;
/// How much of its end goes into an error, in bytes.
const LOG_TAIL: u64 = 1_000;
const SYSTEMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games";

/// Where a container's processes look for programs, which is nearly all that they see of our environment: in what they
/// are shown besides the system's folders, then in those.
pub(super) fn search_path(visible: &[PathBuf]) -> OsString {
    let shown = visible.iter().map(|folder| folder.join("bin")).filter(|folder| folder.is_dir());
    let all = shown.chain(std::env::split_paths(SYSTEMS));
    // A folder with a colon in its name cannot be searched.
    std::env::join_paths(all).unwrap_or_else(|_| SYSTEMS.into())
}

impl Inner {
    pub(super) async fn start(&self, id: InstanceId) -> Result<(), EngineError> {
        let _lock = self.locks.acquire(id).await?;
        let (paths, mut record) = self.ours(id)?;
        if record.desired != Desired::Running {
            record.desired = Desired::Running;
            record.save(&paths)?;
        }
        let outcome = self.launch(&paths, &mut record).await;
        if outcome.is_err() {
            // The caller decides what happens next; the supervisor must not try on behind its back.
            record.desired = Desired::Stopped;
            record.save(&paths)?;
        }
        outcome
    }

    /// The record of a container that must exist.
    pub(super) fn ours(&self, id: InstanceId) -> Result<(Paths, Record), EngineError> {
        let paths = self.layout.paths(id);
        match record::find(&paths, id)? {
            Found::Ours(record) => Ok((paths, *record)),
            Found::NotOurs => Err(EngineError::NotOurs(id)),
            Found::Missing => Err(EngineError::NotFound(id)),
        }
    }

    /// Starts the agent unless it runs. The caller holds the lock.
    pub(super) async fn launch(&self, paths: &Paths, record: &mut Record) -> Result<(), EngineError> {
        if find_running(paths, record).is_some() {
            return Ok(());
        }
        self.kill(paths).await?;
        self.cgroups.remove(record.instance_id).await?;
        let addr = agent_addr(&record.spec);
        must_be_free(addr).await?;
        let (owner, etc, root) = (record.user(), paths.etc(), paths.root());
        let trust = record.spec.trust.clone();
        blocking(move || {
            owner.describe(&etc)?;
            write_trust(&root, &trust, owner)
        })
        .await?;
        if self.sandbox.is_none() {
            self.open_the_way(paths, record.user())?;
        }
        let cgroups = self.cgroups.make(record.instance_id, &Limits::of(&record.spec))?;
        let child = self.spawn(paths, record, &cgroups)?;
        let mark = child.id().and_then(ProcessMark::of);
        let mut ended = self.watch(record.instance_id, child);
        record.process = mark;
        record.save(paths)?;
        match listening(addr, &mut ended).await {
            Ok(()) => Ok(()),
            Err(reason) => {
                self.kill(paths).await?;
                let reason = format!("{reason}; its log ends: {}", log_tail(&paths.log()));
                Err(EngineError::AgentFailed { instance: record.instance_id, reason })
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an engine starts processes; no shell is involved")]
    fn spawn(&self, paths: &Paths, record: &Record, cgroups: &[PathBuf]) -> Result<Child, EngineError> {
        let log = open_log(&paths.log()).map_err(io("open the agent's log"))?;
        let again = log.try_clone().map_err(io("open the agent's log"))?;
        let mut command = Command::new(&self.agent_program);
        command.arg("enter").arg("--pid-file").arg(paths.pid_file());
        for group in cgroups {
            command.arg("--cgroup").arg(group);
        }
        if self.sandbox.is_none() {
            command.args(record.user().become_arguments());
        }
        command.arg("--").args(self.argv(paths, record));
        command
            .env_clear()
            .env("PATH", &self.search_path)
            .env("LANG", "C.UTF-8")
            .env("HOME", paths.root().join("data"));
        command.current_dir(paths.dir()).stdin(Stdio::null()).stdout(log).stderr(again);
        command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => EngineError::ProgramMissing(self.agent_program.display().to_string()),
            _ => io("start an agent")(error),
        })
    }

    /// Without a sandbox a container's own user comes to its folder by the machine's paths: it may pass through ours, and
    /// list none.
    fn open_the_way(&self, paths: &Paths, user: User) -> Result<(), EngineError> {
        if user == User::Engine {
            return Ok(());
        }
        let pass = std::fs::Permissions::from_mode(0o711);
        for folder in [self.layout.root(), &paths.dir()] {
            std::fs::set_permissions(folder, pass.clone()).map_err(io("let a container to its folder"))?;
        }
        Ok(())
    }

    fn argv(&self, paths: &Paths, record: &Record) -> Vec<OsString> {
        let (root, user) = (paths.root(), record.user());
        let listen = agent_addr(&record.spec).to_string();
        // Begins with what `process::is_init_of` looks for.
        let arguments = ["init".into(), "--".into(), "run".into(), "--root".into(), root.clone().into()];
        let arguments = arguments.into_iter().chain(["--listen".into(), listen.into()]).collect::<Vec<_>>();
        match &self.sandbox {
            Some(sandbox) => {
                let inside = Inside { root: &root, etc: &paths.etc(), hostname: &record.spec.name, user };
                sandbox.wrap(&inside, &arguments)
            }
            None => std::iter::once(self.agent_program.clone().into()).chain(arguments).collect(),
        }
    }

    /// Waits for the process, so that it leaves no zombie, and rings for the supervisor. Should this process die, the
    /// machine's init takes over.
    fn watch(&self, id: InstanceId, mut child: Child) -> oneshot::Receiver<std::io::Result<ExitStatus>> {
        let (tell, told) = oneshot::channel();
        let bell = self.ended.clone();
        tokio::spawn(async move {
            let status = child.wait().await;
            let how = status.as_ref().map_or_else(ToString::to_string, ToString::to_string);
            tracing::info!(instance = %id, "the agent of {id} ended ({how}); it is started again unless its container was stopped");
            // Nobody listens once the start is over.
            let _ = tell.send(status);
            bell.notify_one();
        });
        told
    }
}

/// An address in use would otherwise show as an agent that does not start, or as somebody else's certificate.
async fn must_be_free(addr: SocketAddr) -> Result<(), EngineError> {
    match TcpListener::bind(addr).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(EngineError::Transient { action: "start an agent", reason: format!("{addr} is in use") })
        }
        Err(error) => Err(io(format!("listen at {addr}"))(error)),
    }
}

/// Until the agent accepts connections; an error as soon as its process ends.
async fn listening(
    addr: SocketAddr,
    ended: &mut oneshot::Receiver<std::io::Result<ExitStatus>>,
) -> Result<(), String> {
    let deadline = Instant::now() + LISTEN_DEADLINE;
    loop {
        match ended.try_recv() {
            Ok(Ok(status)) => return Err(format!("it ended with {status}")),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => {}
        }
        if TcpStream::connect(addr).await.is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("it did not listen at {addr} within {} s", LISTEN_DEADLINE.as_secs()));
        }
        sleep(POLL).await;
    }
}

/// Writes the trust bundle into a tree that the container can write: no symlink there is followed, for it could name
/// any file of the machine, and nothing that is there is opened, for a FIFO would hold us for ever.
fn write_trust(root: &Path, trust: &TrustBundle, owner: User) -> Result<(), EngineError> {
    let text = serde_json::to_vec_pretty(trust).map_err(|error| io("write a trust bundle")(error.into()))?;
    let write = || -> std::io::Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = openat(CWD, root, flags, Mode::empty())?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let agent = openat2(&root, "agent", flags, Mode::empty(), resolve)?;
        match unlinkat(&agent, "trust.json.new", AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&agent, "trust.json.new", flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(&text)?;
        if let Some(number) = owner.number() {
            fchown(&file, Some(number), Some(number))?;
        }
        file.sync_all()?;
        Ok(renameat(&agent, "trust.json.new", &agent, "trust.json")?)
    };
    write().map_err(io("write a trust bundle"))
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if path.metadata().is_ok_and(|meta| meta.len() > LOG_LIMIT) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The end of the agent's log, on one line.
fn log_tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::trim).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_in_what_is_shown_before_the_systems_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (node, plain) = (folder.path().join("node"), folder.path().join("plain"));
        std::fs::create_dir_all(node.join("bin")).unwrap();
        std::fs::create_dir(&plain).unwrap();
        let expected = format!("{}:{SYSTEMS}", node.join("bin").display());
        assert_eq!(search_path(&[plain, node]), OsString::from(expected));
        assert_eq!(search_path(&[]), OsString::from(SYSTEMS));
    }
}
