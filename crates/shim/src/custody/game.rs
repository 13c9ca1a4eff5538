//! The program in custody: its output, its input, its end.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    process::{Child, Command, Stdio},
};

use domain::agent::ConsoleMode;
use rustix::{
    event::PollFlags,
    io::{Errno, ioctl_fionbio},
    process::{Pid, PidfdFlags, Signal, getpgid, kill_process, kill_process_group, pidfd_open},
};

use super::pty;
use crate::{
    output_log::lines::{ChunkCutter, LineCutter},
    program,
    protocol::Order,
};

/// Input that may wait for a program that does not read, in bytes.
const MAX_INPUT: usize = 64 * 1024;
/// Read at once, in bytes; with what was held back still less than `output_log::MAX_TEXT`.
const READ: usize = 8 * 1024;

/// A program and the pipes or the terminal to it.
pub(super) struct Game {
    child: Child,
    pub(super) pid: Pid,
    /// Readable once it has ended.
    pub(super) ended: OwnedFd,
    pub(super) outputs: Vec<Output>,
    /// None once it has closed it.
    pub(super) input: Option<OwnedFd>,
    waiting: Vec<u8>,
    mode: ConsoleMode,
}

/// Something that the program writes to.
pub(super) struct Output {
    pub(super) fd: OwnedFd,
    cutter: Cutter,
}

enum Cutter {
    Lines(LineCutter),
    Chunks(ChunkCutter),
}

/// What there was to read.
pub(super) enum ReadOutcome {
    Data,
    Empty,
    End,
}

impl Game {
    /// Starts it: in a session of its own, with nothing of our environment, and dying with us. It is started by the
    /// main thread, which lives as long as the shim (`PR_SET_PDEATHSIG`, prctl(2)).
    pub(super) fn start(order: &Order) -> io::Result<Self> {
        let mut command = command(order);
        let (child, outputs, input) = match order.mode {
            ConsoleMode::Pipes => start_piped(&mut command)?,
            ConsoleMode::Pty => start_on_terminal(command, order.size)?,
        };
        for fd in outputs.iter().map(|output| &output.fd).chain(&input) {
            ioctl_fionbio(fd, true)?;
        }
        let pid = Pid::from_child(&child);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { child, pid, ended, outputs, input, waiting: Vec::new(), mode: order.mode })
    }

    /// Its status, once [`Self::ended`] is readable.
    pub(super) fn wait(&mut self) -> io::Result<i32> {
        self.child.wait().map(ExitStatusExt::into_raw)
    }

    /// Sends a signal to it and its group. Its number is its own until [`Self::wait`].
    pub(super) fn signal(&self, signal: Signal) {
        // Gone already is as good.
        let _ = kill_process_group(self.pid, signal);
        if getpgid(Some(self.pid)) != Ok(self.pid) {
            // It has not come to its group yet.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Takes a line (its end is added where it has none) or, on a terminal, what was typed. False when it does not read,
    /// or has closed its input.
    pub(super) fn type_in(&mut self, text: &str) -> bool {
        self.put(text, "")
    }

    /// Takes a line, on a terminal as if Enter was pressed after it.
    pub(super) fn enter_line(&mut self, line: &str) -> bool {
        self.put(line, "\r")
    }

    fn put(&mut self, text: &str, key: &str) -> bool {
        let end = match self.mode {
            ConsoleMode::Pty => key,
            ConsoleMode::Pipes if text.ends_with('\n') => "",
            ConsoleMode::Pipes => "\n",
        };
        let fits = self.waiting.len() + text.len() + end.len() <= MAX_INPUT;
        if self.input.is_none() || !fits {
            return false;
        }
        self.waiting.extend_from_slice(text.as_bytes());
        self.waiting.extend_from_slice(end.as_bytes());
        // A closed pipe is noticed here, so that the caller is told.
        self.write();
        self.input.is_some()
    }

    /// Whether input waits for room.
    pub(super) fn has_input(&self) -> bool {
        self.input.is_some() && !self.waiting.is_empty()
    }

    /// Writes as much input as there is room for.
    pub(super) fn write(&mut self) {
        while let Some(fd) = self.input.as_ref().filter(|_| !self.waiting.is_empty()) {
            match rustix::io::write(fd, &self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.input = None;
                    self.waiting = Vec::new();
                }
            }
        }
    }

    /// Tells it the size of its terminal, if it has one.
    pub(super) fn resize(&self, size: (u16, u16)) {
        if let (ConsoleMode::Pty, Some(terminal)) = (self.mode, &self.input) {
            // A terminal that is gone has no size.
            let _ = pty::resize(terminal, size);
        }
    }
}

impl Output {
    /// Reads once and gives what is whole.
    pub(super) fn read(&mut self, piece: impl FnMut(&[u8])) -> ReadOutcome {
        let mut bytes = [0; READ];
        match rustix::io::read(&self.fd, &mut bytes) {
            // An error of a pipe is its end; of a terminal, EIO is (nobody has it open any more).
            Ok(0) => ReadOutcome::End,
            Ok(length) => {
                match &mut self.cutter {
                    Cutter::Lines(cutter) => cutter.push(&bytes[..length], piece),
                    Cutter::Chunks(cutter) => cutter.push(&bytes[..length], piece),
                }
                ReadOutcome::Data
            }
            Err(Errno::AGAIN | Errno::INTR) => ReadOutcome::Empty,
            Err(_) => ReadOutcome::End,
        }
    }

    /// Gives what is not whole and never will be.
    pub(super) fn finish(&mut self, piece: impl FnMut(&[u8])) {
        match &mut self.cutter {
            Cutter::Lines(cutter) => cutter.finish(piece),
            Cutter::Chunks(cutter) => cutter.finish(piece),
        }
    }
}

/// Events that mean that reading is worth while: a hang-up is read to its end.
pub(super) fn is_readable(events: PollFlags) -> bool {
    events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
}

#[expect(clippy::disallowed_methods, reason = "running a program is what a shim is for")]
fn command(order: &Order) -> Command {
    let mut command = Command::new(program::OWN);
    command.args(["enter", "--pdeathsig", "--parent", &std::process::id().to_string()]);
    if order.mode == ConsoleMode::Pty {
        command.arg("--tty");
    }
    command.arg("--").args(&order.argv).current_dir(&order.data).env_clear().envs(&order.env);
    command
}

type Started = (Child, Vec<Output>, Option<OwnedFd>);

fn start_piped(command: &mut Command) -> io::Result<Started> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let fds = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let output = |fd| Output { fd, cutter: Cutter::Lines(LineCutter::default()) };
    let input = child.stdin.take().map(OwnedFd::from);
    Ok((child, fds.into_iter().flatten().map(output).collect(), input))
}

/// Takes the command, which holds the program's end of the terminal: it must be closed here for its end to show.
fn start_on_terminal(mut command: Command, size: (u16, u16)) -> io::Result<Started> {
    let (ours, theirs) = pty::open(size)?;
    let again = || theirs.as_fd().try_clone_to_owned();
    let child = command.stdin(again()?).stdout(again()?).stderr(again()?).spawn()?;
    let input = ours.try_clone()?;
    Ok((child, vec![Output { fd: ours, cutter: Cutter::Chunks(ChunkCutter::default()) }], Some(input)))
}
