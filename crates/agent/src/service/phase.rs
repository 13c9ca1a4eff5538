//! What is under way, and how it looks from outside.

use chrono::{DateTime, Utc};
use domain::agent::{AgentFault, AgentState};
use tokio_util::task::AbortOnDropHandle;

use super::saved::{InstallState, Saved};
use crate::{
    install::progress::Progress,
    process::{exit::Exit, launch::Launch, spawn::Process},
};

/// A task that ends with the phase it belongs to.
pub(super) type Task = AbortOnDropHandle<()>;

/// What the agent is doing. Exactly one thing at a time.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing.
    Down,
    /// Installing.
    Installing { view: Progress, _task: Task },
    /// Looking for the runtime and a free port, before a start.
    Preparing { _task: Task },
    /// The pause after a crash.
    Pausing { _timer: Task },
    /// There is a process.
    Up(Up),
}

/// A process and what is meant to become of it.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) process: Process,
    pub(super) stage: Stage,
    pub(super) ready_at: Option<DateTime<Utc>>,
    /// The probe while starting, the grace while stopping, and then the pause between two tries to kill it.
    pub(super) task: Option<Task>,
}

/// What is meant to become of a process.
#[derive(Debug)]
pub(super) enum Stage {
    Starting,
    Running,
    Stopping {
        then_start: bool,
    },
    /// Killed because it did not become ready.
    Failing,
}

/// Something that a task has to tell the actor. Its run tells whether it is still of interest.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) run: u64,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug)]
pub(super) enum What {
    InstallMoved(Progress),
    InstallEnded(Result<(), AgentFault>),
    Prepared(Result<Launch, AgentFault>),
    Ready,
    NotReadyInTime,
    GraceOver,
    StillThere,
    Exited(Exit),
    PauseOver,
}

impl Phase {
    /// The state that the wire knows.
    pub(super) fn state(&self, saved: &Saved) -> AgentState {
        match self {
            Self::Down => state_when_down(saved),
            Self::Installing { view, .. } if view.verifying => AgentState::Verifying,
            Self::Installing { .. } => AgentState::Installing,
            // A pause after a crash is part of starting again: `crashed` means that the agent gave up.
            Self::Preparing { .. } | Self::Pausing { .. } => AgentState::Starting,
            Self::Up(up) => match up.stage {
                Stage::Starting => AgentState::Starting,
                Stage::Running => AgentState::Running,
                Stage::Stopping { .. } | Stage::Failing => AgentState::Stopping,
            },
        }
    }
}

fn state_when_down(saved: &Saved) -> AgentState {
    match (saved.install, &saved.fault) {
        (InstallState::Failed, _) => AgentState::Error,
        (InstallState::Done, Some(_)) => AgentState::Crashed,
        (InstallState::Done, None) => AgentState::Stopped,
        (InstallState::None | InstallState::Begun, _) => AgentState::Idle,
    }
}
