//! Isolation by bubblewrap: the container sees an allow-list of the machine's files, its own directory, its own
//! processes, and the network.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::{EngineError, io, layout::Layout, layout::private_dir};

/// Where the agent's program is inside a container.
const AGENT: &str = "/run/zlh/zlh-agent";
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// Root inside owns what root outside owns; another user inside keeps the games that refuse root happy.
const USER: &str = "1000";
const PASSWD: &str =
    "zlh:x:1000:1000:zlh:/tmp:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
const GROUP: &str = "zlh:x:1000:\nnogroup:x:65534:\n";

/// Of `/etc` only what programs need to resolve names, link, and speak TLS: no keys, no accounts, no configuration of
/// ours. `/etc/ssl` itself has private keys.
const ETC: &[&str] = &[
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates.conf",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "nsswitch.conf",
    "resolv.conf",
    "hosts",
    "host.conf",
    "gai.conf",
    "services",
    "protocols",
    "localtime",
    "timezone",
    "mime.types",
    "fonts",
];

/// Directories of a merged or an unmerged `/usr`.
const SYSTEM: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// A bubblewrap that was seen working.
#[derive(Clone, Debug)]
pub(super) struct Sandbox {
    program: PathBuf,
    /// The engine's folder, hidden inside, whatever is visible around it.
    engine_root: PathBuf,
    agent_program: PathBuf,
    /// Readable inside, besides the system.
    visible: Vec<PathBuf>,
    /// Given to containers as `/etc/passwd` and `/etc/group`.
    etc: PathBuf,
    /// Whether this version can forbid further user namespaces inside.
    can_disable_userns: bool,
}

impl Sandbox {
    /// Finds bubblewrap and runs a program in it.
    pub(super) async fn probe(
        layout: &Layout,
        agent_program: &Path,
        visible: &[PathBuf],
    ) -> Result<Self, EngineError> {
        let program = on_path("bwrap").ok_or_else(|| EngineError::ProgramMissing("bwrap".into()))?;
        let etc = layout.root().join(".etc");
        private_dir(&etc)?;
        fs::write(etc.join("passwd"), PASSWD).map_err(io("write the containers' passwd"))?;
        fs::write(etc.join("group"), GROUP).map_err(io("write the containers' group"))?;
        let (engine_root, agent_program) = (layout.root().to_owned(), agent_program.to_owned());
        let visible = visible.to_vec();
        let mut sandbox =
            Self { program, engine_root, agent_program, visible, etc, can_disable_userns: true };
        let first = sandbox.try_out().await;
        if first.is_err() {
            // Known from version 0.8 on.
            sandbox.can_disable_userns = false;
            sandbox.try_out().await?;
        }
        Ok(sandbox)
    }

    /// Program and arguments that run the agent of a container: `root` is all that it can write.
    pub(super) fn wrap(&self, root: &Path, hostname: &str, agent_arguments: &[OsString]) -> Vec<OsString> {
        let mut argv = self.enter(root, hostname);
        argv.push(AGENT.into());
        argv.extend_from_slice(agent_arguments);
        argv
    }

    fn enter(&self, root: &Path, hostname: &str) -> Vec<OsString> {
        let mut argv = Argv(vec![self.program.clone().into()]);
        argv.add(["--unshare-all", "--unshare-user", "--share-net", "--new-session", "--cap-drop", "ALL"]);
        argv.add(["--uid", USER, "--gid", USER, "--hostname", hostname]);
        if self.can_disable_userns {
            argv.add(["--disable-userns"]);
        }
        argv.system();
        argv.etc(&self.etc);
        argv.add([
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            "--dir",
            "/var",
            "--symlink",
            "/tmp",
            "/var/tmp",
        ]);
        argv.bind("--ro-bind", &self.agent_program, Path::new(AGENT));
        for folder in &self.visible {
            argv.bind("--ro-bind", folder, folder);
        }
        // Hides the other containers should the folder lie in something that is visible.
        argv.add(["--tmpfs".as_ref(), self.engine_root.as_os_str()]);
        argv.bind("--bind", root, root);
        argv.add(["--chdir".as_ref(), root.join("data").as_os_str()]);
        argv.add(["--remount-ro".as_ref(), self.engine_root.as_os_str()]);
        argv.add(["--remount-ro", "/", "--"]);
        argv.0
    }

    #[expect(clippy::disallowed_methods, reason = "an engine starts processes; no shell is involved")]
    async fn try_out(&self) -> Result<(), EngineError> {
        let root = self.engine_root.join(".probe");
        private_dir(&root.join("data"))?;
        let mut argv = self.enter(&root, "probe").into_iter();
        let mut command = Command::new(argv.next().unwrap_or_default());
        command.args(argv).arg("/usr/bin/true").env_clear().stdin(Stdio::null()).kill_on_drop(true);
        let broken = |reason| EngineError::Transient { action: "run bubblewrap", reason };
        let output = timeout(PROBE_DEADLINE, command.output())
            .await
            .map_err(|_| broken("no answer in time".into()))?;
        let output = output.map_err(io("run bubblewrap"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(broken(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

struct Argv(Vec<OsString>);

impl Argv {
    fn add<T: AsRef<std::ffi::OsStr>, const N: usize>(&mut self, words: [T; N]) {
        self.0.extend(words.map(|word| word.as_ref().to_owned()));
    }

    fn bind(&mut self, how: &str, from: &Path, to: &Path) {
        self.add([how.as_ref(), from.as_os_str(), to.as_os_str()]);
    }

    fn system(&mut self) {
        self.add(["--ro-bind", "/usr", "/usr"]);
        for name in SYSTEM {
            let path = Path::new("/").join(name);
            match fs::read_link(&path) {
                Ok(target) => self.add(["--symlink".as_ref(), target.as_os_str(), path.as_os_str()]),
                Err(_) => self.bind("--ro-bind-try", &path, &path),
            }
        }
    }

    fn etc(&mut self, own: &Path) {
        // Debian's Java keeps its configuration in /etc/java-17-openjdk and the like.
        let java = fs::read_dir("/etc").into_iter().flatten().flatten().map(|entry| entry.file_name());
        let java = java.filter(|name| name.to_string_lossy().starts_with("java")).map(PathBuf::from);
        for name in ETC.iter().map(PathBuf::from).chain(java) {
            let path = Path::new("/etc").join(name);
            self.bind("--ro-bind-try", &path, &path);
        }
        for name in ["passwd", "group"] {
            self.bind("--ro-bind", &own.join(name), &Path::new("/etc").join(name));
        }
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_folder_is_hidden_after_all_that_could_show_it_and_before_its_own_part_is_shown() {
        let sandbox = Sandbox {
            program: "/usr/bin/bwrap".into(),
            // Visible inside, were it not hidden.
            visible: vec!["/opt".into()],
            engine_root: "/opt/zlh".into(),
            agent_program: "/usr/bin/zlh-agent".into(),
            etc: "/opt/zlh/.etc".into(),
            can_disable_userns: false,
        };
        let argv = sandbox.wrap(Path::new("/opt/zlh/1/root"), "demo", &[]);
        let at = |words: &[&str]| {
            let found: Vec<usize> =
                (0..argv.len()).filter(|n| argv[*n..].iter().zip(words).all(|(a, b)| a == b)).collect();
            assert_eq!(found.len(), 1, "{words:?}");
            found[0]
        };
        let hidden = at(&["--tmpfs", "/opt/zlh"]);
        let own = at(&["--bind", "/opt/zlh/1/root", "/opt/zlh/1/root"]);
        let shows = |word: &std::ffi::OsString| word.to_string_lossy().contains("bind");
        let others: Vec<usize> = (0..argv.len()).filter(|n| shows(&argv[*n]) && *n != own).collect();
        assert!(others.iter().all(|other| *other < hidden) && hidden < own);
        assert!(at(&["--cap-drop", "ALL"]) < own && at(&["--unshare-all"]) < own);
    }
}
