//! The task that owns the service's state: it takes one command or event at a time, decides, and publishes.

mod events;
mod power;
mod tasks;

pub(super) use tasks::send;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use domain::{
    agent::{AgentFault, AgentStatus, FaultCode, ServiceSpec},
    ids::InstanceId,
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
    clock,
    process::{console::Console, leftovers},
    root::Root,
};

/// Events that may wait. Tasks that tell them wait for room.
const EVENTS: usize = 64;
/// Lines of output in a fault.
const FAULT_LINES: usize = 20;

/// The owner of all state.
#[derive(Debug)]
pub(super) struct Actor {
    root: Root,
    instance: String,
    first_pause: Duration,
    console: Arc<Console>,
    saved: Saved,
    phase: Phase,
    /// Number of the installation or process under way; events of earlier ones are ignored.
    run: u64,
    status: watch::Sender<AgentStatus>,
    tell: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    closing: Option<oneshot::Sender<()>>,
}

impl Actor {
    /// Reads what was saved and clears away what an agent that was killed left running.
    pub(super) async fn open(
        root: Root,
        instance: InstanceId,
        first_pause: Duration,
        console: Arc<Console>,
    ) -> anyhow::Result<(Self, watch::Receiver<AgentStatus>)> {
        let saved = Saved::load(&root.state_file())?;
        let instance = instance.to_string();
        let mark = instance.clone();
        spawn_blocking(move || leftovers::kill_all(&mark)).await.context("looking for leftovers")?;
        let (status, seen) = watch::channel(first_status(&saved));
        let (tell, events) = mpsc::channel(EVENTS);
        let (phase, run, closing) = (Phase::Down, 0, None);
        let actor =
            Self { root, instance, first_pause, console, saved, phase, run, status, tell, events, closing };
        Ok((actor, seen))
    }

    /// Serves until it is shut down.
    pub(super) async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        self.resume();
        self.publish();
        while self.closing.is_none() || matches!(self.phase, Phase::Up(_)) {
            tokio::select! {
                Some(command) = commands.recv() => self.obey(command).await,
                Some(event) = self.events.recv() => self.note(event).await,
                else => return,
            }
            self.publish();
        }
        if let Some(done) = self.closing.take() {
            // Nobody waits when the agent is ending anyway.
            let _ = done.send(());
        }
    }

    fn resume(&mut self) {
        match (self.saved.install, self.saved.wanted) {
            (InstallState::Begun, _) => self.begin_install(),
            (InstallState::Done, Wanted::Running) => self.begin_start(),
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
        info!(revision = %spec.revision, steps = spec.install.len(), "installing");
        self.change(|saved| {
            saved.spec = Some(spec);
            saved.install = InstallState::Begun;
            saved.forget_crashes();
        })
        .await?;
        self.begin_install();
        Ok(())
    }

    /// Changes what is saved, or nothing at all when it cannot be written.
    async fn change(&mut self, change: impl FnOnce(&mut Saved)) -> Result<(), Refusal> {
        let mut changed = self.saved.clone();
        change(&mut changed);
        if changed != self.saved {
            let stored = store(changed.clone(), self.root.state_file()).await;
            stored.map_err(|error| {
                error!(%error, "state not saved");
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
            error!(%error, "state not saved: after a restart the agent goes on from an earlier one");
        }
    }

    /// It is down, and stays so until the next start.
    async fn give_up(&mut self, code: FaultCode, message: String) {
        info!(?code, message, "giving up");
        let last_output = self.console.tail_of_run(FAULT_LINES);
        self.phase = Phase::Down;
        self.record(|saved| saved.fault = Some(AgentFault { code, message, last_output })).await;
    }

    /// Tells watchers when something is different from what they know.
    fn publish(&self) {
        let now = self.view();
        self.status.send_if_modified(|known| {
            let changed = AgentStatus { revision: known.revision, ..now.clone() } != *known;
            if changed {
                if known.state != now.state {
                    info!(from = ?known.state, to = ?now.state, "status");
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
