//! One run: the same functions as a request would use, and what their refusals mean for a schedule.

use domain::{
    agent::PowerAction,
    backup::{BackupOrigin, BackupRefusal},
    ids::{BackupId, OperationId},
    instance::{DesiredPower, Instance},
    schedule::{RunOutcome, RunReason, ScheduleAction},
};
use store::{
    backups::{BackupRequest, NewBackup, RequestError, Requested},
    schedules::DueRun,
};

use crate::{
    app::App,
    console, power,
    problem::{Code, Problem},
};

/// Why a run did not succeed.
type Refusal = (RunReason, String);

/// Does what a run is for.
pub async fn perform(app: &App, due: &DueRun) -> RunOutcome {
    match try_to(app, due).await {
        Ok(operation) => RunOutcome::Done(operation),
        Err((reason, text)) => RunOutcome::Not(reason, text),
    }
}

async fn try_to(app: &App, due: &DueRun) -> Result<Option<OperationId>, Refusal> {
    if due.account_disabled {
        return Err((RunReason::AccountDisabled, "The account is disabled.".to_owned()));
    }
    let schedule = &due.schedule;
    let instance = store::instances::get(&app.db, schedule.customer_id, schedule.instance_id).await;
    let instance = instance.map_err(|error| of_problem(&error.into()))?;
    let instance = instance.ok_or_else(|| (RunReason::NotActive, "The server is gone.".to_owned()))?;
    match schedule.plan.action {
        ScheduleAction::Start => switch(app, &instance, PowerAction::Start).await.map(|()| None),
        ScheduleAction::Stop => switch(app, &instance, PowerAction::Stop).await.map(|()| None),
        ScheduleAction::Restart => restart(app, &instance).await.map(|()| None),
        ScheduleAction::Command => {
            type_line(app, &instance, schedule.plan.command.as_deref().unwrap_or_default())
                .await
                .map(|()| None)
        }
        ScheduleAction::Backup => back_up(app, due, &instance).await.map(Some),
    }
}

async fn switch(app: &App, instance: &Instance, action: PowerAction) -> Result<(), Refusal> {
    power::switch(app, instance, action).await.map(|_| ()).map_err(|problem| of_problem(&problem))
}

/// A restart is for a server that runs: what its owner has stopped stays so.
async fn restart(app: &App, instance: &Instance) -> Result<(), Refusal> {
    instance.allows_power(PowerAction::Restart).map_err(|refusal| of_problem(&refusal.into()))?;
    if instance.desired_power == DesiredPower::Stopped {
        return Err((
            RunReason::NotRunning,
            "The server was stopped; a restart does not start it.".to_owned(),
        ));
    }
    switch(app, instance, PowerAction::Restart).await
}

async fn type_line(app: &App, instance: &Instance, line: &str) -> Result<(), Refusal> {
    instance.not_busy().map_err(|refusal| of_problem(&refusal.into()))?;
    console::type_line(app, instance, line).await.map_err(|problem| of_problem(&problem))
}

async fn back_up(app: &App, due: &DueRun, instance: &Instance) -> Result<OperationId, Refusal> {
    let schedule = &due.schedule;
    let keep = app.catalogue.plan(&instance.plan).map_or(0, |plan| plan.backups);
    let asked = BackupRequest {
        customer: schedule.customer_id,
        instance: instance.id,
        operation: OperationId::generate(),
        key: None,
        actor: &format!("schedule:{}", schedule.id),
        request_id: None,
    };
    let backup = NewBackup {
        id: BackupId::generate(),
        name: &schedule.plan.name,
        origin: BackupOrigin::Schedule,
        ignore: &[],
        keep,
    };
    let requested = store::backups::request(&app.db, &asked, &backup, app.clock.now()).await;
    Ok(match requested.map_err(of_backup)? {
        Requested::New(dispatch) => app.notifier.notify(dispatch),
        Requested::Replayed(earlier) => earlier,
    })
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
        RequestError::Store(error) => of_problem(&error.into()),
        RequestError::KeyReused | RequestError::KeyInProgress => {
            (RunReason::Internal, "No backup was made, by a fault of ours.".to_owned())
        }
    }
}

/// What a request would have been answered with, as the reason of a run.
fn of_problem(problem: &Problem) -> Refusal {
    let reason = match problem.code() {
        Code::InstanceOnHold => RunReason::OnHold,
        Code::InstanceBusy => RunReason::Busy,
        Code::InstanceNotActive | Code::NotFound => RunReason::NotActive,
        Code::NotRunning => RunReason::NotRunning,
        Code::AgentUnreachable => RunReason::AgentUnreachable,
        Code::AgentConflict => RunReason::Refused,
        _ => RunReason::Internal,
    };
    (reason, problem.detail().to_owned())
}
