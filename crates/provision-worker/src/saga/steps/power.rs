//! Stopping a server for what is done with it, and starting it again as far as it may run.

use domain::{agent::PowerAction, instance::DesiredPower};

use super::service::{self, CALL_DEADLINE};
use crate::saga::{
    StepError, Work,
    wait::{insist, is_down},
};

/// Starts it again after what was begun is undone. An agent that is away gets the power request later, as any other.
pub(super) async fn start_again(work: &Work) -> Result<(), StepError> {
    if !may_run(work).await? {
        return Ok(());
    }
    match start(work).await {
        Err(StepError::Failed { failure, cause }) => {
            tracing::warn!(code = failure.code, cause = ?cause, "the server could not be started again after what was done with it was undone; it is when its agent is back");
            Ok(store::backups::owe_start(&work.db, &work.lease, crate::BY).await?)
        }
        outcome => outcome,
    }
}

/// Starts it, if it is to run, and waits until it answers.
pub(super) async fn resume(work: &Work) -> Result<(), StepError> {
    if !may_run(work).await? {
        return Ok(());
    }
    start(work).await?;
    service::await_ready(work).await
}

/// Whether the server is to run, as its row says now: a hold may have been placed since the operation began.
pub(super) async fn may_run(work: &Work) -> Result<bool, StepError> {
    let instance = store::instances::get_for_work(&work.db, work.id()).await?;
    Ok(instance.is_some_and(|it| it.desired_power == DesiredPower::Running && it.holds.is_empty()))
}

pub(super) async fn start(work: &Work) -> Result<(), StepError> {
    let agent = work.agent().await?;
    insist(CALL_DEADLINE, || agent.power(PowerAction::Start)).await?;
    Ok(())
}

pub(super) async fn stop_if_up(work: &Work) -> Result<(), StepError> {
    let agent = work.agent().await?;
    let status = insist(CALL_DEADLINE, || agent.status(None, std::time::Duration::ZERO)).await?;
    if is_down(status.state) { Ok(()) } else { service::stop(work).await }
}
