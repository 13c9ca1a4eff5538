//! What the actor makes of what its tasks tell.

use domain::agent::{AgentFault, FaultCode};
use shim::clock;
use tracing::{debug, info, warn};

use super::Actor;
use crate::{
    process::{exit::Exit, launch::Launch},
    service::{
        crash::{self, Verdict},
        phase::{Event, Phase, Stage, Up, What},
        saved::{InstallState, Wanted},
    },
};

impl Actor {
    /// Takes an event, unless it is of an earlier run or of a phase that is over.
    pub(super) async fn note(&mut self, event: Event) {
        if event.run != self.run {
            debug!(?event, "an event of an earlier run is passed over: {event:?}");
            return;
        }
        match (event.what, &mut self.phase) {
            (What::InstallMoved(progress), Phase::Installing { view, .. }) => *view = progress,
            (What::InstallEnded(result), Phase::Installing { .. }) => self.installed(result).await,
            (What::Prepared(result), Phase::Preparing { .. }) => self.prepared(result).await,
            (What::Ready, Phase::Up(up)) if matches!(up.stage, Stage::Starting) => self.ready().await,
            (What::NotReadyInTime, Phase::Up(up)) if matches!(up.stage, Stage::Starting) => {
                up.stage = Stage::Failing;
                self.put_down();
            }
            (What::GraceOver, Phase::Up(up)) if matches!(up.stage, Stage::Stopping { .. }) => {
                info!("the server did not stop within its grace and is killed");
                self.put_down();
            }
            (What::StillThere, Phase::Up(_)) => self.put_down(),
            (What::Exited(exit), Phase::Up(_)) => self.exited(exit).await,
            (What::PauseOver, Phase::Pausing { .. }) => self.begin_start(),
            (what, _) => debug!(?what, "an event of a phase that is over is passed over: {what:?}"),
        }
    }

    async fn installed(&mut self, result: Result<(), AgentFault>) {
        self.phase = Phase::Down;
        if result.is_ok() {
            info!("the installation succeeded");
        }
        let done = result.is_ok();
        self.record(|saved| {
            saved.install = if done { InstallState::Done } else { InstallState::Failed };
            saved.fault = result.err();
        })
        .await;
        if done && self.saved.wanted == Wanted::Running {
            self.begin_start();
        }
    }

    async fn prepared(&mut self, result: Result<Launch, AgentFault>) {
        let Some(spec) = self.saved.spec.clone() else { return };
        match result {
            Ok(launch) => {
                if let Err(error) = self.launch(&launch, &spec).await {
                    self.give_up(
                        FaultCode::CrashedAtStart,
                        format!("The server could not be started: {error}."),
                    )
                    .await;
                }
            }
            Err(fault) => self.give_up(fault.code, fault.message).await,
        }
    }

    async fn ready(&mut self) {
        let now = clock::now();
        if let Phase::Up(up) = &mut self.phase {
            up.stage = Stage::Running;
            up.ready_at = Some(now);
            up.task = None;
        }
        self.record(|saved| {
            saved.was_ready = true;
            saved.ready_at = Some(now);
        })
        .await;
    }

    async fn exited(&mut self, exit: Exit) {
        let end = exit.describe();
        info!(end, "the server's process ended: {end}");
        let Phase::Up(Up { stage, .. }) = std::mem::replace(&mut self.phase, Phase::Down) else { return };
        self.ended(stage, exit).await;
    }

    /// Decides what follows the end of a process that was at `stage`, and takes note of it.
    pub(super) async fn ended(&mut self, stage: Stage, exit: Exit) {
        if self.closing.is_none() {
            self.follow_up(stage, exit).await;
        }
        // Only now: an agent that is killed before this finds the run, and decides again.
        if let Err(error) = self.host.forget() {
            warn!(%error, "the end of a run is still recorded and will be noted once more: {error}");
        }
    }

    async fn follow_up(&mut self, stage: Stage, exit: Exit) {
        match stage {
            Stage::Stopping { then_start } => {
                self.record(super::Saved::forget_crashes).await;
                if then_start {
                    self.begin_start();
                }
            }
            Stage::Failing if !self.saved.was_ready => {
                let deadline = self.saved.spec.as_ref().map_or(0, |spec| spec.ready.deadline_seconds);
                let message = format!("The server did not become ready within {deadline} s and was stopped.");
                self.give_up(FaultCode::NotReadyInTime, message).await;
            }
            Stage::Starting if !self.saved.was_ready => {
                self.record(|saved| saved.crash_count += 1).await;
                let message = format!("The server ended by itself before it was ready: {}.", exit.describe());
                self.give_up(FaultCode::CrashedAtStart, message).await;
            }
            Stage::Starting | Stage::Running | Stage::Failing => self.crashed(exit).await,
        }
    }

    /// It was ready before: try again, a bit later each time, but not for ever.
    async fn crashed(&mut self, exit: Exit) {
        let now = clock::now();
        let mut crashes = std::mem::take(&mut self.saved.crashes);
        crashes.push(now);
        let verdict = crash::judge(&mut crashes, now, self.first_pause);
        self.record(|saved| {
            saved.crashes = crashes;
            saved.crash_count += 1;
        })
        .await;
        match verdict {
            Verdict::Restart(pause) => {
                info!(?pause, "the server crashed ({}) and is started again in {pause:?}", exit.describe());
                self.begin_pause(pause);
            }
            Verdict::GiveUp => {
                let message = format!(
                    "The server crashed {} times within {} minutes, the last time with {}. It is not started again by \
                     itself.",
                    crash::LIMIT,
                    crash::WINDOW.num_minutes(),
                    exit.describe()
                );
                self.give_up(FaultCode::CrashLoop, message).await;
            }
        }
    }
}
