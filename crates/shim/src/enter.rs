//! `zlh-agent enter`: what has to happen between fork and exec, done by a program of our own so that no unsafe code
//! is needed and nothing races: the child is in its cgroups and its session before the real program's first line.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, bail};
use rustix::{
    io::Errno,
    process::{Signal, getpid, getppid, ioctl_tiocsctty, set_parent_process_death_signal, setsid},
};

use crate::confine::confine;

/// Exit code when the program cannot be run, as shells use it.
const EXIT_NOT_RUN: u8 = 127;

/// What `zlh-agent enter` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct EnterArgs {
    /// Cgroup folder to join (v1 or v2); may be repeated.
    #[arg(long = "cgroup", value_name = "DIR")]
    pub cgroups: Vec<PathBuf>,
    /// File that receives the process id, whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Die with the process that started this one.
    #[arg(long)]
    pub pdeathsig: bool,
    /// The process id that must still be the parent once `--pdeathsig` is set.
    #[arg(long, value_name = "PID", requires = "pdeathsig")]
    pub parent: Option<i32>,
    /// Take standard input, a terminal, as the session's own.
    #[arg(long)]
    pub tty: bool,
    /// What the program is called in the process table, in place of its path.
    #[arg(long, value_name = "NAME")]
    pub name: Option<OsString>,
    /// Give up what a container has no business with: see [`crate::confine`].
    #[arg(long)]
    pub confine: bool,
    /// Become this user, with a group of the same number and no others.
    #[arg(long, value_name = "UID")]
    pub user: Option<u32>,
    /// Run the program in this folder, entered as that user.
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Program and arguments.
    #[arg(last = true, required = true, value_name = "PROG")]
    pub argv: Vec<OsString>,
}

/// Prepares this process and replaces it; returns only on failure.
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "replacing this process is its purpose"
)]
pub fn enter(args: &EnterArgs) -> ExitCode {
    if let Err(error) = prepare(args) {
        eprintln!("zlh-agent enter: {error:#}");
        return ExitCode::from(EXIT_NOT_RUN);
    }
    let name = args.name.as_ref().unwrap_or(&args.argv[0]);
    let mut program = Command::new(&args.argv[0]);
    program.arg0(name).args(&args.argv[1..]);
    if let Some(user) = args.user {
        // The standard library drops root's supplementary groups with it.
        program.uid(user).gid(user);
    }
    if let Some(directory) = &args.directory {
        program.current_dir(directory);
    }
    let error = program.exec();
    eprintln!("zlh-agent enter: cannot run {}: {error}", args.argv[0].display());
    ExitCode::from(EXIT_NOT_RUN)
}

fn prepare(args: &EnterArgs) -> anyhow::Result<()> {
    for cgroup in &args.cgroups {
        // "0" is the writer itself, in whatever process namespace it is (cgroups(7)).
        fs::write(cgroup.join("cgroup.procs"), "0")
            .with_context(|| format!("cannot join {}", cgroup.display()))?;
    }
    start_session()?;
    if args.tty {
        ioctl_tiocsctty(io::stdin()).context("cannot take the terminal")?;
    }
    if args.pdeathsig {
        die_with_parent(args.parent)?;
    }
    if let Some(file) = &args.pid_file {
        write_pid(file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.confine {
        confine()?;
    }
    Ok(())
}

/// A process that leads a group already cannot start a session, and needs none if it leads one.
fn start_session() -> anyhow::Result<()> {
    match setsid() {
        Ok(_) => Ok(()),
        Err(Errno::PERM) if leads_its_session()? => Ok(()),
        Err(error) => Err(error).context("cannot start a session"),
    }
}

/// Read from `/proc`: a session whose leader is in an outer process namespace has the number 0, which rustix's `getsid`
/// cannot return.
fn leads_its_session() -> anyhow::Result<bool> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let (head, fields) = stat.rsplit_once(')').context("/proc/self/stat is not as proc(5) says")?;
    let pid = head.split(' ').next();
    // After the name: state, parent, group, session.
    Ok(pid == fields.split_whitespace().nth(3))
}

/// The signal is sent for a death from now on only, so a parent that is gone already has to be noticed here.
fn die_with_parent(expected: Option<i32>) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot ask to die with the parent")?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
    if expected.is_some() && expected != parent {
        bail!("the parent is gone");
    }
    Ok(())
}

fn write_pid(file: &Path) -> io::Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".tmp");
    fs::write(&temporary, format!("{}\n", getpid().as_raw_nonzero()))?;
    fs::rename(&temporary, file)
}
