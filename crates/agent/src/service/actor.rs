//! The task that owns the service's state: it takes one command or event at a time, decides, and publishes.

mod events;
mod power;
mod tasks;

pub(super) use tasks::send;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use domain::agent::{AgentFault, AgentStatus, FaultCode, ServiceSpec};
use shim::{
    clock,
    protocol::{Purpose, Run},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
};
use tracing::{error, info};

use super::{
    Command, Refusal,
    phase::{Event, Phase},
    saved::{InstallState, Saved, Wanted},
};
use crate::{
    process::host::{Host, PreviousRun},
    root::Root,
};

/// Events that may wait. Tasks that tell them wait for room.
const EVENTS: usize = 64;
/// Lines of output in a fault.
const FAULT_LINES: usize = 20;
/// Longest until a killed program of an installation is gone.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// What others see of it.
pub(super) struct View {
    pub(super) status: watch::Receiver<AgentStatus>,
    pub(super) spec: watch::Receiver<Option<Arc<ServiceSpec>>>,
    pub(super) held: Arc<AtomicBool>,
}

/// The owner of all state.
#[derive(Debug)]
pub(super) struct Actor {
    root: Root,
    first_pause: Duration,
    host: Arc<Host>,
    found: PreviousRun,
    saved: Saved,
    phase: Phase,
    /// Number of the installation or process under way; events of earlier ones are ignored.
    run: u64,
    status: watch::Sender<AgentStatus>,
    spec: watch::Sender<Option<Arc<ServiceSpec>>>,
    tell: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    closing: Option<oneshot::Sender<()>>,
    /// See `Service::hold`.
    held: Arc<AtomicBool>,
}

impl Actor {
    /// Reads what was saved and takes up what an agent before left running, or clears it away.
    pub(super) async fn open(
        root: Root,
        first_pause: Duration,
        host: Arc<Host>,
    ) -> anyhow::Result<(Self, View)> {
        let saved = Saved::load(&root.state_file())?;
        let found = take_up(&host, &saved).await.context("what an agent before left")?;
        let (status, seen) = watch::channel(first_status(&saved));
        let (spec, seen_spec) = watch::channel(saved.spec.clone().map(Arc::new));
        let (tell, events) = mpsc::channel(EVENTS);
        let held = Arc::new(AtomicBool::new(false));
        let mut actor = Self {
            root,
            first_pause,
            host,
            found,
            saved,
            phase: Phase::Down,
            run: 0,
            status,
            spec,
            tell,
            events,
            closing: None,
            held: Arc::clone(&held),
        };
        actor.resume().await;
        actor.publish();
        Ok((actor, View { status: seen, spec: seen_spec, held }))
    }

    /// Serves until it is shut down.
    pub(super) async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        while self.closing.is_none() || matches!(self.phase, Phase::Up(_)) {
            tokio::select! {
                Some(command) = commands.recv() => self.obey(command).await,
                Some(event) = self.events.recv() => self.note(event).await,
                else => return,
            }
            self.publish();
        }
        // A program of an installation that was given up.
        self.host.until_idle(LAST_WAIT).await;
        if let Some(done) = self.closing.take() {
            // Nobody waits when the agent is ending anyway.
            let _ = done.send(());
        }
    }

    async fn resume(&mut self) {
        match (std::mem::replace(&mut self.found, PreviousRun::None), self.saved.install, self.saved.wanted) {
            (_, InstallState::Begun, _) => self.begin_install(),
            (PreviousRun::Live(connection), InstallState::Done, _) => self.attach(connection),
            (PreviousRun::Ended(run), InstallState::Done, _) => self.ended_meanwhile(&run).await,
            (_, InstallState::Done, Wanted::Running) => self.begin_start(),
            _ => {}
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::ShutDown(done) => {
                self.begin_shut_down();
                self.closing = Some(done);
            }
            Command::Install(spec, answer) => {
                let result = if self.closing.is_some() {
                    Err(Refusal::ShuttingDown)
                } else {
                    self.install(*spec).await
                };
                self.answer(answer, result);
            }
            Command::Power(action, answer) => {
                let result = if self.closing.is_some() {
                    Err(Refusal::ShuttingDown)
                } else {
                    self.power(action).await
                };
                self.answer(answer, result);
            }
        }
    }

    fn answer(&mut self, answer: oneshot::Sender<super::Answer>, result: Result<(), Refusal>) {
        self.publish();
        // The caller may have gone away; what was asked is done all the same.
        let _ = answer.send(result.map(|()| self.status.borrow().clone()));
    }

    async fn install(&mut self, spec: ServiceSpec) -> Result<(), Refusal> {
        let same = self.saved.revision() == Some(spec.revision.as_str());
        match (&self.phase, same) {
            (Phase::Down, true) if self.saved.install == InstallState::Done => return Ok(()),
            (Phase::Down, _) => {}
            (_, true) => return Ok(()),
            (Phase::Installing { .. }, false) => return Err(Refusal::OtherRevisionInstalls),
            (_, false) => return Err(Refusal::OtherRevisionRuns),
        }
        self.must_not_be_held()?;
        if self.saved.is_installed(&spec) {
            info!(
                revision = spec.revision,
                "revision {} is installed already and only runs in another way", spec.revision
            );
            self.change(|saved| {
                saved.spec = Some(spec);
                saved.forget_crashes();
            })
            .await?;
            // As after an installation: what is to run does.
            if self.saved.wanted == Wanted::Running {
                self.begin_start();
            }
            return Ok(());
        }
        let (revision, steps) = (&spec.revision, spec.install.len());
        info!(revision, steps, "installation of revision {revision} begins: {steps} steps");
        self.change(|saved| {
            saved.spec = Some(spec);
            saved.install = InstallState::Begun;
            saved.forget_crashes();
        })
        .await?;
        self.begin_install();
        Ok(())
    }

    fn must_not_be_held(&self) -> Result<(), Refusal> {
        if self.held.load(Ordering::SeqCst) { Err(Refusal::NotSaved) } else { Ok(()) }
    }

    /// Changes what is saved, or nothing at all when it cannot be written.
    async fn change(&mut self, change: impl FnOnce(&mut Saved)) -> Result<(), Refusal> {
        let mut changed = self.saved.clone();
        change(&mut changed);
        if changed != self.saved {
            let stored = store(changed.clone(), self.root.state_file()).await;
            stored.map_err(|error| {
                error!(%error, "the state could not be saved, so what was asked for is refused: {error}");
                Refusal::NotSaved
            })?;
            self.saved = changed;
        }
        Ok(())
    }

    /// Changes what is known because it has happened, or has to happen even if it cannot be written.
    async fn record(&mut self, change: impl FnOnce(&mut Saved)) {
        change(&mut self.saved);
        if let Err(error) = store(self.saved.clone(), self.root.state_file()).await {
            error!(%error, "the state could not be saved; after a restart the agent goes on from an earlier one: {error}");
        }
    }

    /// It is down, and stays so until the next start.
    async fn give_up(&mut self, code: FaultCode, message: String) {
        info!(?code, "the server stays down until somebody starts it: {message}");
        let last_output = self.host.output.console.tail_of_run(FAULT_LINES);
        self.phase = Phase::Down;
        self.record(|saved| saved.fault = Some(AgentFault { code, message, last_output })).await;
    }

    /// Tells watchers when something is different from what they know.
    fn publish(&self) {
        self.spec.send_if_modified(|known| {
            let changed = known.as_ref().map(|spec| spec.revision.as_str()) != self.saved.revision();
            if changed {
                *known = self.saved.spec.clone().map(Arc::new);
            }
            changed
        });
        let now = self.view();
        self.status.send_if_modified(|known| {
            let changed = AgentStatus { revision: known.revision, ..now.clone() } != *known;
            if changed {
                if known.state != now.state {
                    info!(from = ?known.state, to = ?now.state, "the server was {:?} and is {:?}", known.state, now.state);
                }
                *known = AgentStatus { revision: known.revision + 1, ..now };
            }
            changed
        });
    }

    fn view(&self) -> AgentStatus {
        let up = if let Phase::Up(up) = &self.phase { Some(up) } else { None };
        let installing = if let Phase::Installing { view, .. } = &self.phase { Some(view) } else { None };
        AgentStatus {
            revision: 0,
            state: self.phase.state(&self.saved),
            installed_revision: installed_revision(&self.saved),
            error: self.saved.fault.clone(),
            install_step: installing.map(|view| view.step.clone()),
            progress: installing.map(|view| view.percent),
            crash_count: self.saved.crash_count,
            pid: up.map(|up| up.process.pid()),
            ready_at: up.and_then(|up| up.ready_at),
        }
    }
}

/// Finds what runs on, or ended when nobody looked. What does not fit to what was saved is ended.
async fn take_up(host: &Host, saved: &Saved) -> anyhow::Result<PreviousRun> {
    let fits = |run: &Run| run.purpose == Purpose::Game && saved.install == InstallState::Done;
    let found = match host.find().await? {
        PreviousRun::Live(connection) if !fits(&connection.run) => {
            host.put_down(connection).await?;
            PreviousRun::None
        }
        PreviousRun::Ended(run) if !fits(&run) => {
            host.forget()?;
            PreviousRun::None
        }
        found => found,
    };
    let (run, whole) = match &found {
        PreviousRun::Live(connection) => {
            (Some(&connection.run), saved.ready_at_of(&connection.run).is_none())
        }
        PreviousRun::Ended(run) => (Some(run), false),
        PreviousRun::None => (None, false),
    };
    if !matches!(found, PreviousRun::Live(_)) {
        host.clear_leftovers().await?;
    }
    host.output.recall(run, whole).await?;
    Ok(found)
}

/// Revisions start from the wall clock, so that one of an earlier life of the agent is never above them.
fn first_status(saved: &Saved) -> AgentStatus {
    AgentStatus {
        revision: u64::try_from(clock::now().timestamp_millis()).unwrap_or_default(),
        state: Phase::Down.state(saved),
        installed_revision: installed_revision(saved),
        error: saved.fault.clone(),
        install_step: None,
        progress: None,
        crash_count: saved.crash_count,
        pid: None,
        ready_at: None,
    }
}

fn installed_revision(saved: &Saved) -> Option<String> {
    saved.revision().filter(|_| saved.install == InstallState::Done).map(str::to_owned)
}

async fn store(saved: Saved, file: PathBuf) -> io::Result<()> {
    spawn_blocking(move || saved.store(&file)).await?
}
