//! Stopping a server for what is done with it, and starting it again as far as it may run.

use async_trait::async_trait;
use domain::{agent::PowerAction, instance::DesiredPower};

use super::service::{self, CALL_DEADLINE};
use crate::saga::{
    Step, StepError, Work,
    wait::{insist, is_down},
};

/// Stops the server, if it runs, so that it can save and something can be done with it.
pub(super) struct Pause;

#[async_trait]
impl Step for Pause {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        stop_if_up(work).await
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        start_again(work).await
    }
}

/// Starts the server again, if it is to run, and waits until it answers.
pub(super) struct Resume;

#[async_trait]
impl Step for Resume {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        if !may_run(work).await? {
            return Ok(());
        }
        start(work).await?;
        service::await_ready(work).await
    }

    /// Down again, so that what was done with it can be undone.
    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        stop_if_up(work).await
    }
}

/// Starts it again after what was begun is undone. An agent that is away gets the power request later, as any other.
async fn start_again(work: &Work) -> Result<(), StepError> {
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

/// Whether the server is to run, as its row says now: a hold may have been placed since the operation began.
async fn may_run(work: &Work) -> Result<bool, StepError> {
    let instance = store::instances::get_for_work(&work.db, work.id()).await?;
    Ok(instance.is_some_and(|it| it.desired_power == DesiredPower::Running && it.holds.is_empty()))
}

async fn start(work: &Work) -> Result<(), StepError> {
    let agent = work.agent().await?;
    insist(CALL_DEADLINE, || agent.power(PowerAction::Start)).await?;
    Ok(())
}

pub(super) async fn stop_if_up(work: &Work) -> Result<(), StepError> {
    let agent = work.agent().await?;
    let status = insist(CALL_DEADLINE, || agent.status(None, std::time::Duration::ZERO)).await?;
    if is_down(status.state) { Ok(()) } else { service::stop(work).await }
}
