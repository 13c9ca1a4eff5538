//! Commands about power, each a no-op when it is already as asked.

use std::time::Duration;

use domain::agent::PowerAction;
use rustix::process::Signal;
use tracing::info;

use super::{Actor, Refusal};
use crate::service::{
    phase::{Phase, Stage, What},
    saved::{InstallState, Wanted},
};

/// Until a process that was killed and has not ended is killed again.
const KILL_AGAIN: Duration = Duration::from_secs(1);

impl Actor {
    pub(super) async fn power(&mut self, action: PowerAction) -> Result<(), Refusal> {
        info!(?action, "power action {action:?} was asked for");
        match action {
            PowerAction::Start => self.start(false).await,
            PowerAction::Restart => self.start(true).await,
            PowerAction::Stop => {
                self.stop().await;
                Ok(())
            }
            PowerAction::Kill => {
                self.kill().await;
                Ok(())
            }
        }
    }

    /// Starts; `anew` stops a server that runs first.
    async fn start(&mut self, anew: bool) -> Result<(), Refusal> {
        if matches!(self.saved.install, InstallState::None | InstallState::Failed) {
            return Err(Refusal::NotInstalled);
        }
        self.must_not_be_held()?;
        let afresh = matches!(self.phase, Phase::Down | Phase::Pausing { .. });
        self.change(|saved| {
            saved.wanted = Wanted::Running;
            if afresh {
                saved.forget_crashes();
            }
        })
        .await?;
        match &mut self.phase {
            Phase::Down | Phase::Pausing { .. } => self.begin_start(),
            // It starts by itself once that is done.
            Phase::Installing { .. } | Phase::Preparing { .. } => {}
            Phase::Up(up) => match &mut up.stage {
                Stage::Stopping { then_start } => *then_start = true,
                Stage::Failing => up.stage = Stage::Stopping { then_start: true },
                Stage::Starting | Stage::Running if anew => self.ask_to_stop(true),
                Stage::Starting | Stage::Running => {}
            },
        }
        Ok(())
    }

    /// Never refused: a server that is to stop stops, even if that cannot be remembered.
    async fn stop(&mut self) {
        self.record(|saved| saved.wanted = Wanted::Stopped).await;
        match &mut self.phase {
            Phase::Down | Phase::Installing { .. } => {}
            Phase::Preparing { .. } | Phase::Pausing { .. } => self.phase = Phase::Down,
            Phase::Up(up) => match &mut up.stage {
                Stage::Stopping { then_start } => *then_start = false,
                // Killed already; its end is one that was asked for.
                Stage::Failing => up.stage = Stage::Stopping { then_start: false },
                Stage::Starting | Stage::Running => self.ask_to_stop(false),
            },
        }
    }

    async fn kill(&mut self) {
        self.stop().await;
        self.put_down();
    }

    /// Kills the process, if there is one, and again until its end is told: what is asked of a shim is lost with the
    /// connection to it.
    pub(super) fn put_down(&mut self) {
        let timer = self.timer(KILL_AGAIN, What::StillThere);
        let Phase::Up(up) = &mut self.phase else { return };
        up.process.signal(Signal::KILL);
        up.task = Some(timer);
    }

    /// The agent ends: the server stops, what is wanted stays.
    pub(super) fn begin_shut_down(&mut self) {
        match &mut self.phase {
            Phase::Up(up) if matches!(up.stage, Stage::Starting | Stage::Running) => self.ask_to_stop(false),
            Phase::Up(_) => {}
            _ => self.phase = Phase::Down,
        }
    }
}
