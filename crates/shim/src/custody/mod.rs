//! `zlh-agent shim`: a small process between agent and game, one for each run. It has the game's pipes or terminal,
//! writes all output to the output log on disk, and stays when the agent goes: neither the game nor a line of its output
//! depends on the agent's life.
//!
//! Architecture invariant: the shim waits for nobody but the game: an agent that is slow, absent or makes no sense
//! does not hold it up. Invariant: it takes up no memory for output beyond a batch; no runtime, no TLS, one thread.
//!
//! Who has the lock of `lock` is, or is about to be, the shim of this folder. The agent takes it, writes its order
//! into the file and hands it over as the shim's standard input, so there is no moment without it.

mod caller;
mod game;
mod pty;

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Signal, getpid, set_child_subreaper, setsid},
};
use signal_hook::consts::SIGCHLD;

use self::{
    caller::Caller,
    game::{Game, ReadOutcome, is_readable},
};
use crate::{
    clock, leftovers, output_log,
    place::{self, Place},
    program,
    protocol::{Ask, End, Order, Run, Tell},
    signals,
};

/// How long the rest of the output may take once nobody is left to write it.
const DRAIN: Duration = Duration::from_secs(1);

/// What `zlh-agent shim` is told; the order is its standard input.
#[derive(Clone, Debug, clap::Args)]
pub struct ShimArgs {
    /// The agent's folder.
    #[arg(long)]
    pub root: PathBuf,
}

/// Runs what was ordered, to its end. Tells on standard output when it has started, by an empty line, or why not.
pub fn run(args: &ShimArgs) -> ExitCode {
    program::keep_from_the_game();
    match Shim::start(args) {
        Ok(shim) => {
            // An agent that is gone finds us by the lock.
            let _ = writeln!(io::stdout());
            shim.serve()
        }
        Err(error) => {
            let _ = writeln!(io::stdout(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Shim {
    place: Place,
    listener: UnixListener,
    /// One byte for each SIGCHLD.
    children: UnixStream,
    game: Game,
    output_log: output_log::Writer,
    run: Run,
    instance: String,
    caller: Option<Caller>,
    started: Instant,
}

impl Shim {
    fn start(args: &ShimArgs) -> anyhow::Result<Self> {
        // Leads none after a fork; whatever the agent is in, what is sent to it is not for us.
        setsid().context("session")?;
        let order: Order = serde_json::from_reader(io::stdin().lock()).context("order")?;
        let place = Place::open(&args.root.join(place::FOLDER)).context("shim's folder")?;
        let folder = args.root.join(output_log::FOLDER);
        let mut output_log = output_log::Writer::open(&folder, output_log::LIMIT).context("output log")?;
        output_log.go_on_from(order.next);
        let listener = place.listen().context("socket")?;
        // Before there is a game: nothing that it starts gets away from us.
        set_child_subreaper(Some(getpid())).context("subreaper")?;
        let children = signals::listen(&[SIGCHLD]).context("signals")?;
        let game = Game::start(&order)?;
        let (purpose, mode, pid) = (order.purpose, order.mode, game.pid.as_raw_nonzero().get());
        let started_ms = clock::now().timestamp_millis();
        let shim = getpid().as_raw_nonzero().get();
        let run =
            Run { purpose, mode, pid, shim, started_ms, first: output_log.next(), asked: false, end: None };
        place.write(&run, false).context("record")?;
        let (instance, started) = (order.instance, Instant::now());
        Ok(Self { place, listener, children, game, output_log, run, instance, caller: None, started })
    }

    fn serve(mut self) -> ExitCode {
        loop {
            match self.turn() {
                Ok(false) => {}
                Ok(true) => return self.see_out(),
                // The game ends with us, by its parent's death: better than one in nobody's custody.
                Err(error) => {
                    eprintln!("zlh-agent shim: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }

    /// Waits for something to happen, and deals with it. True once the game has ended.
    fn turn(&mut self) -> io::Result<bool> {
        let ready = self.wait()?;
        if ready.outputs {
            self.read();
        }
        if ready.input {
            self.game.write();
        }
        if let Some(caller) = &mut self.caller
            && ready.caller
        {
            let asked = caller.send().and_then(|()| caller.hear());
            match asked {
                Ok(asked) => asked.into_iter().for_each(|ask| self.obey(ask)),
                Err(_) => self.caller = None,
            }
        }
        if ready.listener {
            self.accept();
        }
        if ready.children && signals::empty(&mut self.children)? {
            // The game's own end is collected last of all.
            leftovers::collect_but(self.game.pid);
        }
        self.tell_next();
        Ok(ready.ended)
    }

    fn wait(&self) -> io::Result<Ready> {
        let known = [self.game.ended.as_fd(), self.listener.as_fd(), self.children.as_fd()];
        let mut fds: Vec<_> =
            known.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        fds.extend(self.game.outputs.iter().map(|output| PollFd::new(&output.fd, PollFlags::IN)));
        let outputs = known.len()..fds.len();
        fds.extend(self.caller.as_ref().map(|caller| {
            let out = if caller.has_unsent() { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(&caller.stream, PollFlags::IN | out)
        }));
        let caller = outputs.end..fds.len();
        let input = self.game.input.as_ref().filter(|_| self.game.has_input());
        fds.extend(input.map(|fd| PollFd::new(fd, PollFlags::OUT)));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let any = |fds: &[PollFd<'_>]| fds.iter().any(|fd| !fd.revents().is_empty());
        Ok(Ready {
            ended: any(&fds[..1]),
            listener: any(&fds[1..2]),
            children: any(&fds[2..3]),
            outputs: fds[outputs].iter().any(|fd| is_readable(fd.revents())),
            caller: any(&fds[caller.clone()]),
            input: any(&fds[caller.end..]),
        })
    }

    /// Reads each output once. Whether there was anything.
    fn read(&mut self) -> bool {
        let at_ms = clock::now().timestamp_millis();
        let (output_log, mut some) = (&mut self.output_log, false);
        self.game.outputs.retain_mut(|output| match output.read(|piece| output_log.add(at_ms, piece)) {
            ReadOutcome::Data => {
                some = true;
                true
            }
            ReadOutcome::Empty => true,
            ReadOutcome::End => {
                output.finish(|piece| output_log.add(at_ms, piece));
                false
            }
        });
        output_log.flush();
        some
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        let hello = Tell::Hello { run: self.run.clone(), next: self.output_log.next() };
        // The newest counts: the one before is of an agent that is gone.
        self.caller = Caller::new(stream).and_then(|mut caller| caller.tell(&hello).map(|()| caller)).ok();
    }

    fn obey(&mut self, ask: Ask) {
        match ask {
            Ask::Stop { line } => {
                self.run.asked = true;
                if !line.is_some_and(|line| self.game.enter_line(&line)) {
                    self.game.signal(Signal::TERM);
                }
            }
            Ask::Signal(number) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    self.game.signal(signal);
                }
            }
            Ask::Input(text) => {
                let taken = Tell::Taken(self.game.type_in(&text));
                if self.caller.as_mut().is_some_and(|caller| caller.tell(&taken).is_err()) {
                    self.caller = None;
                }
            }
            Ask::Resize(columns, rows) => self.game.resize((columns, rows)),
        }
    }

    fn tell_next(&mut self) {
        let next = self.output_log.next();
        if self.caller.as_mut().is_some_and(|caller| caller.tell_next(next).is_err()) {
            self.caller = None;
        }
    }

    /// The game has ended: sees to it that nothing of it is left, reads its last words, and records its end.
    fn see_out(mut self) -> ExitCode {
        // Before its end is collected its number is its own, and with it the group's.
        self.game.signal(Signal::KILL);
        let status = self.game.wait().unwrap_or_default();
        let after_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        leftovers::kill_children();
        leftovers::kill_all(&self.instance);
        self.drain();
        // What cannot be made sure of is still there unless the machine goes down.
        let _ = self.output_log.sync();
        self.run.end = Some(End { status, after_ms, next: self.output_log.next() });
        if let Err(error) = self.place.write(&self.run, true) {
            eprintln!("zlh-agent shim: the end of the run could not be recorded: {error}");
            return ExitCode::FAILURE;
        }
        // The agent notices by the end of its connection.
        ExitCode::SUCCESS
    }

    /// Reads until nobody has the other end, or nothing more comes.
    fn drain(&mut self) {
        let end = Instant::now() + DRAIN;
        while !self.game.outputs.is_empty() && Instant::now() < end {
            if !self.read() {
                let pause = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                let mut fds: Vec<_> =
                    self.game.outputs.iter().map(|output| PollFd::new(&output.fd, PollFlags::IN)).collect();
                // Whether it was in time or not, the loop looks.
                let _ = poll(&mut fds, Some(&pause));
            }
        }
        let at_ms = clock::now().timestamp_millis();
        for mut output in std::mem::take(&mut self.game.outputs) {
            output.finish(|piece| self.output_log.add(at_ms, piece));
        }
        self.output_log.flush();
    }
}

/// What there is to do.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as poll tells them")]
struct Ready {
    ended: bool,
    listener: bool,
    children: bool,
    outputs: bool,
    caller: bool,
    input: bool,
}
