//! One run: the same functions as a request would use, and what their refusals mean for a schedule.

use std::sync::Arc;

use domain::{
    agent::PowerAction,
    backup::{BackupOrigin, BackupRefusal},
    clock::Clock,
    enforcement::Gate,
    ids::{BackupId, OperationId},
    instance::{DesiredPower, Instance, PowerRefusal},
    schedule::{RunOutcome, RunReason, ScheduleAction},
};
use integrations::agent::AgentErrorKind;
use store::{
    Db, StoreError,
    audit::{self, By},
    backups::{BackupRequest, NewBackup, RequestError, Requested},
    queue::Notifier,
    schedules::DueRun,
};

use crate::{
    agent::Agents,
    catalogue::Catalogue,
    console::{self, CommandError},
    power::{Power, PowerError},
};

/// Why a run did not succeed.
type Refusal = (RunReason, String);

/// What a run may need. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    /// The schedules.
    pub db: Db,
    /// Says what is due.
    pub clock: Arc<dyn Clock>,
    /// Switches servers.
    pub power: Power,
    /// Takes lines for consoles.
    pub agents: Agents,
    /// Says how many backups a plan keeps.
    pub catalogue: Arc<Catalogue>,
    /// Tells workers of backups.
    pub notifier: Notifier<OperationId>,
}

impl Runner {
    /// Does what a run is for.
    pub(super) async fn perform(&self, due: &DueRun) -> RunOutcome {
        match self.try_to(due).await {
            Ok(operation) => RunOutcome::Done(operation),
            Err((reason, text)) => RunOutcome::Not(reason, text),
        }
    }

    async fn try_to(&self, due: &DueRun) -> Result<Option<OperationId>, Refusal> {
        if due.account_disabled {
            return Err((RunReason::AccountDisabled, "The account is disabled.".to_owned()));
        }
        let schedule = &due.schedule;
        let stage = store::billing::stage_of(&self.db, schedule.customer_id).await;
        let gate = gate_of(schedule.plan.action);
        if !stage.map_err(|error| of_store(&error))?.allows(gate) {
            let text = "A payment is open, so this is not done. It is done again at its next time once that is paid.";
            return Err((RunReason::PaymentOpen, text.to_owned()));
        }
        let instance = store::instances::get(&self.db, schedule.customer_id, schedule.instance_id).await;
        let instance = instance.map_err(|error| of_store(&error))?;
        let instance = instance.ok_or_else(|| (RunReason::NotActive, "The server is gone.".to_owned()))?;
        let action = match schedule.plan.action {
            ScheduleAction::Start => PowerAction::Start,
            ScheduleAction::Stop => PowerAction::Stop,
            ScheduleAction::Restart => PowerAction::Restart,
            ScheduleAction::Command => {
                let line = schedule.plan.command.as_deref().unwrap_or_default();
                return self.type_line(&instance, line).await.map(|()| None);
            }
            ScheduleAction::Backup => return self.back_up(due, &instance).await.map(Some),
        };
        self.switch(due, &instance, action).await.map(|()| None)
    }

    /// A restart is for a server that runs: what its owner has stopped stays so.
    async fn switch(&self, due: &DueRun, instance: &Instance, action: PowerAction) -> Result<(), Refusal> {
        instance.allows_power(action).map_err(|refusal| of_refusal(&refusal))?;
        if action == PowerAction::Restart && instance.desired_power == DesiredPower::Stopped {
            let text = "The server was stopped; a restart does not start it.";
            return Err((RunReason::NotRunning, text.to_owned()));
        }
        let actor = audit::schedule(due.schedule.id);
        let switched = self.power.switch(instance, action, By::itself(&actor)).await;
        switched.map(drop).map_err(of_power)
    }

    async fn type_line(&self, instance: &Instance, line: &str) -> Result<(), Refusal> {
        instance.not_busy().map_err(|refusal| of_refusal(&refusal))?;
        console::type_line(&self.agents, instance, line).await.map_err(of_command)
    }

    async fn back_up(&self, due: &DueRun, instance: &Instance) -> Result<OperationId, Refusal> {
        let schedule = &due.schedule;
        let request = BackupRequest {
            customer: schedule.customer_id,
            instance: instance.id,
            operation: OperationId::generate(),
            key: None,
            actor: &audit::schedule(schedule.id),
            request_id: None,
        };
        let backup = NewBackup {
            id: BackupId::generate(),
            name: &schedule.plan.name,
            origin: BackupOrigin::Schedule,
            ignore: &[],
            keep: self.catalogue.plan(&instance.plan).map_or(0, |plan| plan.backups),
        };
        let requested = store::backups::request(&self.db, &request, &backup, self.clock.now()).await;
        Ok(match requested.map_err(of_backup)? {
            Requested::New(dispatch) => self.notifier.notify(dispatch),
            Requested::Replayed(earlier) => earlier,
        })
    }
}

/// What an open payment blocks of a schedule.
fn gate_of(action: ScheduleAction) -> Gate {
    match action {
        ScheduleAction::Start | ScheduleAction::Stop | ScheduleAction::Restart => Gate::Power,
        ScheduleAction::Command => Gate::Console,
        ScheduleAction::Backup => Gate::NewBackups,
    }
}

fn of_refusal(refusal: &PowerRefusal) -> Refusal {
    let reason = match refusal {
        PowerRefusal::OnHold(_) => RunReason::OnHold,
        PowerRefusal::Busy(_) => RunReason::Busy,
        PowerRefusal::NotActive(_) => RunReason::NotActive,
    };
    (reason, format!("Nothing was done: {refusal}."))
}

fn of_store(error: &StoreError) -> Refusal {
    tracing::warn!(?error, "a scheduled run could not be carried out; it is recorded as failed");
    (RunReason::Internal, "Nothing was done, by a fault of ours.".to_owned())
}

fn of_power(error: PowerError) -> Refusal {
    match error {
        PowerError::Refused(refusal) => of_refusal(&refusal),
        PowerError::Changed => {
            (RunReason::Busy, "The server changed in this very moment. Nothing was done.".to_owned())
        }
        PowerError::Stored(error) if error.kind() == AgentErrorKind::Conflict => {
            (RunReason::Refused, "The server cannot do this in its present state.".to_owned())
        }
        PowerError::Stored(_) | PowerError::Unseen(_) => {
            let text =
                "The server's machine does not answer. The request is carried out as soon as it is back.";
            (RunReason::AgentUnreachable, text.to_owned())
        }
        PowerError::Store(error) => of_store(&error),
    }
}

fn of_command(error: CommandError) -> Refusal {
    match error {
        CommandError::Refused(refusal) => of_refusal(&refusal),
        CommandError::Input(error) => (RunReason::Internal, format!("Nothing was sent: {error}.")),
        CommandError::NotReading => {
            (RunReason::Refused, "The server does not read its input. The line was not taken.".to_owned())
        }
        CommandError::NotRunning => {
            (RunReason::NotRunning, "Nobody would read the line. Nothing was sent.".to_owned())
        }
        CommandError::Agent(_) => {
            let text = "The server's machine does not answer. The line may not have arrived.";
            (RunReason::AgentUnreachable, text.to_owned())
        }
    }
}

fn of_backup(error: RequestError) -> Refusal {
    match error {
        RequestError::Refused(refusal) => {
            let reason = match refusal {
                BackupRefusal::OnHold(_) => RunReason::OnHold,
                BackupRefusal::Busy(_) => RunReason::Busy,
                BackupRefusal::LimitReached(_) => RunReason::BackupLimit,
                _ => RunReason::NotActive,
            };
            (reason, format!("No backup was made: {refusal}."))
        }
        RequestError::Absent => (RunReason::NotActive, "The server is gone.".to_owned()),
        RequestError::Store(error) => of_store(&error),
        RequestError::KeyReused | RequestError::KeyInProgress => {
            (RunReason::Internal, "No backup was made, by a fault of ours.".to_owned())
        }
    }
}
