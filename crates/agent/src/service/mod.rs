//! The one server of this container: a handle for the interface, behind it one task that owns all state.

mod actor;
pub mod crash;
mod install;
mod phase;
mod saved;
pub mod spec;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::{
    agent::{AgentStatus, PowerAction, ServiceSpec},
    ids::InstanceId,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use self::actor::{Actor, View};
use crate::{process::host::Host, root::Root};

/// Commands that may wait; each is answered at once, so more means that something is wrong.
const COMMANDS: usize = 32;

/// Why a command was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to start.
    #[error("nothing is installed")]
    NotInstalled,
    /// Another revision cannot be installed below a running server.
    #[error("the server runs with another revision; stop it first")]
    OtherRevisionRuns,
    /// One installation at a time.
    #[error("another revision is being installed")]
    OtherRevisionInstalls,
    /// Not done: it would be forgotten at the next boot.
    #[error("the agent's state could not be written")]
    NotSaved,
    /// The agent ends.
    #[error("the agent is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// Stable code for the error body.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotInstalled => "not_installed",
            Self::OtherRevisionRuns => "other_revision_runs",
            Self::OtherRevisionInstalls => "other_revision_installs",
            Self::NotSaved => "state_not_saved",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

/// What an accepted command answers with.
pub type Answer = Result<AgentStatus, Refusal>;

#[derive(Debug)]
enum Command {
    Install(Box<ServiceSpec>, oneshot::Sender<Answer>),
    Power(PowerAction, oneshot::Sender<Answer>),
    ShutDown(oneshot::Sender<()>),
}

/// Handle to the service; cheap to clone.
#[derive(Clone)]
pub struct Service {
    commands: mpsc::Sender<Command>,
    view: Arc<View>,
    host: Arc<Host>,
}

impl Service {
    /// Reads what was saved and goes on from there: an interrupted installation starts again, and so does a server
    /// that was wanted running.
    pub async fn open(root: Root, instance: InstanceId, backoff: Duration) -> anyhow::Result<Self> {
        let host = Arc::new(Host::open(&root, instance.to_string())?);
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (actor, view) = Actor::open(root, backoff, Arc::clone(&host)).await?;
        tokio::spawn(actor.serve(inbox));
        Ok(Self { commands, view: Arc::new(view), host })
    }

    /// Installs a checked spec; answers once that has begun.
    pub async fn install(&self, spec: ServiceSpec) -> Answer {
        self.ask(|answer| Command::Install(Box::new(spec), answer)).await
    }

    /// Starts, stops, restarts or kills; answers once that has begun.
    pub async fn power(&self, action: PowerAction) -> Answer {
        self.ask(|answer| Command::Power(action, answer)).await
    }

    /// The status as soon as its revision is above `since`, or whatever it is after `wait`.
    pub async fn status_after(&self, since: Option<u64>, wait: Duration) -> AgentStatus {
        let mut status = self.view.status.clone();
        if let Some(since) = since {
            // Whether it changed, the time is over or the service ended: the answer is what is known now.
            let _ = timeout(wait, status.wait_for(|status| status.revision > since)).await;
        }
        status.borrow().clone()
    }

    /// The status, for whoever keeps looking.
    pub fn statuses(&self) -> tokio::sync::watch::Receiver<AgentStatus> {
        self.view.status.clone()
    }

    /// Where the server stands at this moment.
    pub fn state(&self) -> domain::agent::AgentState {
        self.view.status.borrow().state
    }

    /// While it is held nothing starts and nothing is installed: a restart of the agent would exchange the files below it.
    pub fn hold(&self, held: bool) {
        self.view.held.store(held, Ordering::SeqCst);
    }

    /// The last `lines` lines of output, oldest first.
    pub fn tail(&self, lines: usize) -> Vec<String> {
        self.host.output.console.tail(lines)
    }

    /// What is to be installed and run; none until somebody has said.
    pub fn spec(&self) -> Option<Arc<ServiceSpec>> {
        self.view.spec.borrow().clone()
    }

    /// The same, for whoever keeps looking.
    pub fn specs(&self) -> tokio::sync::watch::Receiver<Option<Arc<ServiceSpec>>> {
        self.view.spec.clone()
    }

    /// The game's processes, and all that was written.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Stops the server within its grace, leaving what is wanted as it is; further commands are refused.
    pub async fn shut_down(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::ShutDown(done)).await.is_ok() {
            // An error is the actor's end, which is what is waited for.
            let _ = wait.await;
        }
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<Answer>) -> Command) -> Answer {
        let (answer, wait) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Refusal::ShuttingDown)?;
        wait.await.map_err(|_| Refusal::ShuttingDown)?
    }
}
