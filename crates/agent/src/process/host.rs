//! What runs, from the agent's side: starts shims, finds the one of an agent before, and keeps the output at hand.

use std::{
    fmt, io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::agent::ConsoleSize;
use rustix::process::Signal;
use shim::{
    clock, leftovers,
    place::Place,
    program,
    protocol::{Ask, Order, Purpose, Run},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::UnixStream,
    process::{Child, Command},
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{
    exit::Exit,
    launch::Launch,
    link::{self, Connection},
    output::Output,
    spawn::Process,
};
use crate::root::Root;

/// Longest until a shim answers, or is gone. Only a process stuck in the kernel takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest until a shim that was connected to says what it runs.
const GREETING: Duration = Duration::from_secs(2);
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(5);
/// A terminal's size until somebody looks at it.
const SIZE: (u16, u16) = (80, 24);
/// Asks that may wait for a shim.
const ASKS: usize = 64;

/// Runs one program at a time in this agent's folder.
pub struct Host {
    root: Root,
    instance: String,
    place: Place,
    /// All that is and was written.
    pub output: Output,
    current: Mutex<Option<Current>>,
    size: Mutex<(u16, u16)>,
}

/// What runs now.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) run: Run,
    pub(super) asks: mpsc::Sender<link::Request>,
}

/// What an agent before left, as found at the start.
#[derive(Debug)]
pub enum PreviousRun {
    /// Nothing runs.
    None,
    /// A program runs on.
    Live(Connection),
    /// It ended when no agent was there.
    Ended(Run),
}

/// Why input was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// There is nothing that could take it.
    NotRunning,
    /// The program does not read, or has closed its input.
    NotReading,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Host {
    /// For the programs of `instance`.
    pub fn open(root: &Root, instance: String) -> io::Result<Self> {
        let (place, output) = (Place::open(&root.shim())?, Output::new(&root.output_log()));
        let (current, size) = (Mutex::default(), Mutex::new(SIZE));
        Ok(Self { root: root.clone(), instance, place, output, current, size })
    }

    /// The working folder of what is started.
    pub fn data(&self) -> PathBuf {
        self.root.data()
    }

    /// Looks for what an agent before left running or unnoted.
    pub async fn find(&self) -> io::Result<PreviousRun> {
        if let Some(connection) = self.reach().await? {
            return Ok(PreviousRun::Live(connection));
        }
        // Without an end its shim was killed, and the agent with it: the machine or the container went down.
        Ok(self.place.read().filter(|run| run.end.is_some()).map_or(PreviousRun::None, PreviousRun::Ended))
    }

    /// Kills everything that is marked as the instance's and has no shim.
    pub async fn clear_leftovers(&self) -> io::Result<()> {
        let instance = self.instance.clone();
        spawn_blocking(move || leftovers::kill_all(&instance)).await.map_err(io::Error::other)
    }

    /// Ends a program that was found, and waits for the end of its shim.
    pub async fn put_down(&self, mut connection: Connection) -> io::Result<()> {
        let pid = connection.run.pid;
        info!(run = ?connection.run, "process {pid}, which an earlier agent started, is killed: it is not what is to run");
        loop {
            connection.ask(&Ask::Signal(Signal::KILL.as_raw())).await?;
            connection.until_closed().await;
            match self.reach().await? {
                Some(again) => connection = again,
                None => return self.forget(),
            }
        }
    }

    /// The end of the run was noted.
    pub fn forget(&self) -> io::Result<()> {
        self.place.forget()
    }

    /// Starts `launch` below a shim.
    pub async fn start(
        self: &Arc<Self>,
        launch: &Launch,
        purpose: Purpose,
    ) -> io::Result<(Process, oneshot::Receiver<Exit>)> {
        self.output.expect(launch.mode).await;
        let size = *lock(&self.size);
        let order = launch.order(purpose, &self.data(), &self.instance, size, self.output.next());
        let shim = self.start_shim(&order).await?;
        let connection = match self.reach().await {
            Ok(connection) => connection,
            Err(error) => {
                self.put_away(shim).await;
                return Err(error);
            }
        };
        // Not waited for but by this task, which collects it.
        tokio::spawn(see_off(shim));
        let run = match &connection {
            Some(connection) => connection.run.clone(),
            // A program that ended at once.
            None => self.place.read().ok_or_else(|| io::Error::other("its shim is gone"))?,
        };
        Ok(self.watch(run, connection))
    }

    /// Ends a shim that cannot be reached, and the game with it: nobody would know that it runs.
    async fn put_away(&self, mut shim: Child) {
        // It may have ended by itself.
        let _ = shim.start_kill();
        see_off(shim).await;
        if let Err(error) = self.clear_leftovers().await {
            warn!(%error, "what the game left behind is not killed and may run on: {error}");
        }
    }

    /// Goes on with a program that was found.
    pub fn attach(self: &Arc<Self>, connection: Connection) -> (Process, oneshot::Receiver<Exit>) {
        let pid = connection.run.pid;
        info!(run = ?connection.run, "process {pid}, which an earlier agent started, runs on and is watched again");
        self.watch(connection.run.clone(), Some(connection))
    }

    /// What runs, if it is the game.
    pub fn game(&self) -> Option<Run> {
        self.current().map(|current| current.run)
    }

    /// Types something in; answers once the game's side has taken it.
    pub async fn type_in(&self, text: String) -> Result<(), NotTaken> {
        let current = self.current().ok_or(NotTaken::NotRunning)?;
        let (answer, taken) = oneshot::channel();
        let request = link::Request { ask: Ask::Input(text), answer: Some(answer) };
        current.asks.send(request).await.map_err(|_| NotTaken::NotRunning)?;
        match taken.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotTaken::NotReading),
            // It ended before it could answer.
            Err(_) => Err(NotTaken::NotRunning),
        }
    }

    /// The size of the terminal from now on, also of later runs.
    pub async fn resize(&self, size: ConsoleSize) {
        *lock(&self.size) = (size.columns, size.rows);
        if let Some(current) = self.current() {
            let request = link::Request { ask: Ask::Resize(size.columns, size.rows), answer: None };
            // What is gone has no size.
            let _ = current.asks.send(request).await;
        }
    }

    /// Waits until nothing runs, but not for ever.
    pub async fn until_idle(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while lock(&self.current).is_some() && Instant::now() < end {
            sleep(PAUSE).await;
        }
    }

    fn current(&self) -> Option<Current> {
        lock(&self.current).clone().filter(|current| current.run.purpose == Purpose::Game)
    }

    fn watch(
        self: &Arc<Self>,
        run: Run,
        connection: Option<Connection>,
    ) -> (Process, oneshot::Receiver<Exit>) {
        let (asks, requests) = mpsc::channel(ASKS);
        let (tell, exited) = oneshot::channel();
        let process = Process::new(run.pid.cast_unsigned(), asks.clone());
        *lock(&self.current) = Some(Current { run: run.clone(), asks });
        tokio::spawn(link::serve(Arc::clone(self), run, connection, requests, tell));
        (process, exited)
    }

    /// A connection to the shim; none when there is none, or none any more.
    pub(super) async fn reach(&self) -> io::Result<Option<Connection>> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(stream) = UnixStream::connect(self.place.address()).await
                && let Ok(Ok(connection)) = timeout(GREETING, Connection::greet(stream)).await
            {
                return Ok(Some(connection));
            }
            if self.place.try_lock()?.is_some() {
                return Ok(None);
            }
            if Instant::now() > end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the shim of the game does not answer"));
            }
            sleep(PAUSE).await;
        }
    }

    /// How `run` ended, once its shim is gone, with all of its output in memory.
    pub(super) async fn end_of(&self, run: &Run) -> Exit {
        let same = |last: &Run| (last.pid, last.started_ms) == (run.pid, run.started_ms);
        let end = self.place.read().filter(same).and_then(|last| last.end);
        if end.is_none() {
            warn!(pid = run.pid, "the shim of process {} was killed, and the game with it", run.pid);
            if let Err(error) = self.clear_leftovers().await {
                warn!(%error, "what the game left behind is not killed and may run on: {error}");
            }
        }
        self.output.end_run(end.map(|end| end.next)).await;
        *lock(&self.current) = None;
        end.map_or_else(|| lost(run), |end| exit_of(end.status, end.after_ms))
    }

    #[expect(clippy::disallowed_methods, reason = "supervising a process is what the agent is for")]
    async fn start_shim(&self, order: &Order) -> io::Result<Child> {
        let end = Instant::now() + PATIENCE;
        let order = loop {
            match self.place.lock(order)? {
                Some(file) => break file,
                // One that is ending.
                None if Instant::now() < end => sleep(PAUSE).await,
                None => return Err(io::Error::other("another program's shim does not end")),
            }
        };
        self.forget()?;
        let mut shim = Command::new(program::OWN)
            .arg0(program::NAME)
            .args(["shim".as_ref(), "--root".as_ref(), self.root.path().as_os_str()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(order))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        let Some(stdout) = shim.stdout.take() else { return Ok(shim) };
        let heard = timeout(PATIENCE, BufReader::new(stdout).read_line(&mut said)).await;
        if said == "\n" {
            return Ok(shim);
        }
        // One that says nothing must not start the game later on. It may have ended by itself.
        let _ = shim.start_kill();
        tokio::spawn(see_off(shim));
        heard??;
        let reason = if said.is_empty() { "its shim ended at once" } else { said.trim() };
        Err(io::Error::other(reason.to_owned()))
    }
}

/// How a run ended that was not noted.
pub fn exit_of_found(run: &Run) -> Exit {
    run.end.map_or_else(|| lost(run), |end| exit_of(end.status, end.after_ms))
}

fn exit_of(status: i32, after_ms: u64) -> Exit {
    Exit { status: ExitStatus::from_raw(status), after: Duration::from_millis(after_ms) }
}

/// It died with its shim, by its parent's death.
fn lost(run: &Run) -> Exit {
    let after = clock::now().timestamp_millis() - run.started_ms;
    exit_of(Signal::KILL.as_raw(), u64::try_from(after).unwrap_or_default())
}

async fn see_off(mut shim: Child) {
    if let Err(error) = shim.wait().await {
        warn!(%error, "how the shim ended is not known ({error}); its record says how the game did");
    }
}

/// A panic elsewhere leaves whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
