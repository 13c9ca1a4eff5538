//! `zlh-agent init -- run …`: a container's first process where the engine has no init of its own. It keeps the agent
//! running, so that neither a crash nor a kill of the agent ends the game beside it, and collects what is orphaned.

use std::{
    ffi::OsString,
    io,
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    process::{Child, Command, ExitCode, ExitStatus},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait},
};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

use crate::{
    program::{self, EXIT_CONFIG},
    signals,
};

/// First pause before the agent is started again; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// An agent that ran this long has recovered, and its next end is a first one.
const RECOVERED: Duration = Duration::from_mins(1);
/// An agent that ends sooner than this, and never ran longer, does not start at all: whoever started us is told.
const STARTS_WITHIN: Duration = Duration::from_secs(2);

/// An agent this old knows what SIGTERM is; a younger one would be ended by it, and its game with no time to save.
const LISTENS_WITHIN: Duration = Duration::from_millis(500);
/// How many agents are asked to stop, if they are killed instead.
const TRIES: u8 = 3;

/// What `zlh-agent init` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct InitArgs {
    /// Arguments of `zlh-agent`, `run` first.
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

/// Keeps the agent running until SIGTERM or SIGINT, which it passes on; ends with the agent's own exit code when the
/// agent ends on purpose, cannot use what it was given, or does not start in the first place.
pub fn init(args: &InitArgs) -> ExitCode {
    program::keep_from_the_game();
    match Init::new(args).and_then(|mut init| init.serve()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("zlh-agent init: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Init<'a> {
    args: &'a InitArgs,
    /// One byte for each SIGTERM or SIGINT, and for each SIGCHLD.
    asked: UnixStream,
    child: UnixStream,
    stopping: bool,
    /// How many more agents are asked to stop.
    tries: u8,
    pause: Duration,
    /// Whether an agent ever started.
    ran: bool,
}

impl<'a> Init<'a> {
    fn new(args: &'a InitArgs) -> io::Result<Self> {
        let (asked, child) = (signals::listen(&[SIGTERM, SIGINT])?, signals::listen(&[SIGCHLD])?);
        // A shim whose agent died is ours from then on: the engine finds it below us.
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { args, asked, child, stopping: false, tries: TRIES, pause: FIRST_PAUSE, ran: false })
    }

    fn serve(&mut self) -> io::Result<ExitCode> {
        loop {
            let started = Instant::now();
            let status = self.see_through(&start(self.args)?, started)?;
            let code = u8::try_from(status.code().unwrap_or(1)).unwrap_or(1);
            self.ran |= started.elapsed() > STARTS_WITHIN;
            // A kill is never the agent's own choice, so it does not count here: what it left is to be stopped in order.
            let chosen = status.code().is_some();
            self.tries -= u8::from(self.stopping);
            let over = self.stopping && (chosen || self.tries == 0);
            if over || status.success() || code == EXIT_CONFIG || (chosen && !self.ran) {
                return Ok(ExitCode::from(code));
            }
            if started.elapsed() > RECOVERED {
                self.pause = FIRST_PAUSE;
            }
            eprintln!("zlh-agent init: the agent ended with {status}, and is started again");
            self.rest()?;
        }
    }

    /// Waits for the agent's end.
    fn see_through(&mut self, agent: &Child, started: Instant) -> io::Result<ExitStatus> {
        let (pid, mut told) = (Pid::from_child(agent), false);
        loop {
            // Looked at first: a signal from before it was started is waiting already.
            if let Some(status) = collect(pid)? {
                return Ok(status);
            }
            let left = LISTENS_WITHIN.saturating_sub(started.elapsed());
            if self.stopping && !told && left.is_zero() {
                told = true;
                // Its number is its own until it is collected, which only we do.
                kill_process(pid, Signal::TERM)?;
            }
            self.hear((self.stopping && !told).then_some(left))?;
        }
    }

    /// The pause before another start; none when it is only to stop what its predecessor left.
    fn rest(&mut self) -> io::Result<()> {
        let end = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        while !self.stopping {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.hear(Some(left))?;
            collect(getpid())?;
        }
        Ok(())
    }

    /// Waits for a signal, and remembers one to end.
    fn hear(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = [PollFd::new(&self.asked, PollFlags::IN), PollFd::new(&self.child, PollFlags::IN)];
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        signals::empty(&mut self.child)?;
        self.stopping |= signals::empty(&mut self.asked)?;
        Ok(())
    }
}

/// Through `enter`: an agent without us would be one that nobody stops.
#[expect(clippy::disallowed_methods, reason = "keeping the agent running is what init is for")]
fn start(args: &InitArgs) -> io::Result<Child> {
    let parent = getpid().as_raw_nonzero().to_string();
    Command::new(program::OWN)
        .args(["enter", "--pdeathsig", "--parent", &parent, "--name", program::NAME, "--", program::OWN])
        .args(&args.arguments)
        .spawn()
}

/// Collects all that has ended; the status of `pid` when it is among them.
fn collect(pid: Pid) -> io::Result<Option<ExitStatus>> {
    let mut found = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == pid => found = Some(ExitStatus::from_raw(status.as_raw())),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(found),
            Err(error) => return Err(error.into()),
        }
    }
}
