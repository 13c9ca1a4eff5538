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

use super::{EngineError, io, layout::Layout, layout::private_dir, user::User};

/// Where the agent's program is inside a container.
const AGENT: &str = "/run/zlh/zlh-agent";
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// Of the machine's `/proc` what no container may change, whoever runs it.
const KERNEL: &[&str] = &["acpi", "asound", "bus", "fs", "irq", "pressure", "scsi", "sys", "sysrq-trigger"];

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

/// What is one container's in its sandbox.
pub(super) struct Inside<'a> {
    /// All that it can write.
    pub(super) root: &'a Path,
    /// Its `/etc/passwd` and `/etc/group`.
    pub(super) etc: &'a Path,
    /// What it calls itself.
    pub(super) hostname: &'a str,
    /// Who its processes are.
    pub(super) user: User,
}

/// A bubblewrap that was seen working.
#[derive(Clone, Debug)]
pub(super) struct Sandbox {
    program: PathBuf,
    /// The engine's folder, hidden inside, whatever is visible around it.
    engine_root: PathBuf,
    agent_program: PathBuf,
    /// Readable inside, besides the system.
    visible: Vec<PathBuf>,
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
        let (engine_root, agent_program) = (layout.root().to_owned(), agent_program.to_owned());
        let visible = visible.to_vec();
        let mut sandbox = Self { program, engine_root, agent_program, visible, can_disable_userns: true };
        let first = sandbox.try_out().await;
        if first.is_err() {
            // Known from version 0.8 on.
            sandbox.can_disable_userns = false;
            sandbox.try_out().await?;
        }
        Ok(sandbox)
    }

    /// Program and arguments that run the agent of a container.
    pub(super) fn wrap(&self, inside: &Inside<'_>, agent_arguments: &[OsString]) -> Vec<OsString> {
        let mut argv = self.enter(inside);
        argv.push(AGENT.into());
        argv.extend_from_slice(agent_arguments);
        argv
    }

    fn enter(&self, inside: &Inside<'_>) -> Vec<OsString> {
        let mut argv = Argv(vec![self.program.clone().into()]);
        argv.add(["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]);
        argv.add(["--new-session", "--cap-drop", "ALL", "--hostname", inside.hostname]);
        argv.0.extend(inside.user.namespace().into_iter().map(Into::into));
        if self.can_disable_userns && inside.user == User::Engine {
            argv.add(["--disable-userns"]);
        }
        argv.system();
        argv.etc(inside.etc);
        argv.kernel();
        argv.add(["--perms", "1777", "--tmpfs", "/tmp", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]);
        argv.folders_above(Path::new(AGENT));
        argv.bind("--ro-bind", &self.agent_program, Path::new(AGENT));
        for folder in &self.visible {
            argv.folders_above(folder);
            argv.bind("--ro-bind", folder, folder);
        }
        // Hides the other containers should the folder lie in something that is visible.
        argv.folders_above(&self.engine_root);
        argv.add(["--tmpfs".as_ref(), self.engine_root.as_os_str()]);
        argv.folders_above(inside.root);
        argv.bind("--bind", inside.root, inside.root);
        argv.add(["--remount-ro".as_ref(), self.engine_root.as_os_str()]);
        argv.add(["--remount-ro", "/", "--"]);
        // The last that has any rights gives them up.
        argv.add([AGENT, "enter", "--confine"]);
        argv.0.extend(inside.user.become_arguments().into_iter().map(Into::into));
        argv.add(["--directory".as_ref(), inside.root.join("data").as_os_str(), "--".as_ref()]);
        argv.0
    }

    #[expect(clippy::disallowed_methods, reason = "an engine starts processes; no shell is involved")]
    async fn try_out(&self) -> Result<(), EngineError> {
        let (probe, user) = (self.engine_root.join(".probe"), User::of(0));
        let (root, etc) = (probe.join("root"), probe.join("etc"));
        private_dir(&root.join("data"))?;
        user.own(&root)?;
        user.own(&root.join("data"))?;
        user.describe(&etc)?;
        let inside = Inside { root: &root, etc: &etc, hostname: "probe", user };
        let mut argv = self.enter(&inside).into_iter();
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

    /// The folders above a path, which bubblewrap makes for nobody but root where it has to.
    fn folders_above(&mut self, path: &Path) {
        let above = path.ancestors().skip(1).filter(|folder| *folder != Path::new("/"));
        for folder in above.collect::<Vec<_>>().into_iter().rev() {
            self.add(["--dir".as_ref(), folder.as_os_str()]);
        }
    }

    /// Processes and devices: the container's own, and of the machine's settings nothing that could be written.
    fn kernel(&mut self) {
        self.add(["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"]);
        for name in KERNEL {
            let path = Path::new("/proc").join(name);
            if path.exists() {
                self.bind("--ro-bind", &path, &path);
            }
        }
    }

    fn etc(&mut self, own: &Path) {
        // Debian's Java keeps its configuration in /etc/java-17-openjdk and the like.
        let java = fs::read_dir("/etc").into_iter().flatten().flatten().map(|entry| entry.file_name());
        let java = java.filter(|name| name.to_string_lossy().starts_with("java")).map(PathBuf::from);
        for name in ETC.iter().map(PathBuf::from).chain(java) {
            let path = Path::new("/etc").join(name);
            self.folders_above(&path);
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
            can_disable_userns: false,
        };
        let (root, etc) = (Path::new("/opt/zlh/1/root"), Path::new("/opt/zlh/1/etc"));
        let inside = Inside { root, etc, hostname: "demo", user: User::Own(1_900_025_601) };
        let argv = sandbox.wrap(&inside, &[]);
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
        assert!(at(&["--cap-drop", "ALL"]) < own && at(&["--unshare-pid"]) < own);
        assert!(
            own < at(&[
                "enter",
                "--confine",
                "--user",
                "1900025601",
                "--directory",
                "/opt/zlh/1/root/data",
                "--",
                AGENT
            ])
        );
    }
}
