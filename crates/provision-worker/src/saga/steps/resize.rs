//! A change of plan: the game is stopped, container and service get other limits, the game starts again. Files stay where they are.

use async_trait::async_trait;
use domain::instance::Resources;
use store::billing::plan_changes::{self, Size};

use super::{container, service};
use crate::saga::{Step, StepError, Work};

/// Gives container and service their new limits.
pub(super) struct Resize;

#[async_trait]
impl Step for Resize {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let (_, to) = sizes(work).await?;
        fit(work, to.resources).await
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        let (from, _) = sizes(work).await?;
        fit(work, from.resources).await
    }
}

/// Records the new plan, gives back the room that is not needed, and ends the operation.
pub(super) struct MarkPlanChanged;

#[async_trait]
impl Step for MarkPlanChanged {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(plan_changes::changed(&work.db, &work.lease, crate::BY).await?)
    }

    /// Had the transaction been committed, there would be no operation left to undo.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// What the server has, and what it is to have.
async fn sizes(work: &Work) -> Result<(Size, Size), StepError> {
    let sizes = plan_changes::sizes(&work.db, work.lease.operation).await?;
    sizes.ok_or_else(|| StepError::internal("the operation is of no change of plan"))
}

async fn fit(work: &Work, resources: Resources) -> Result<(), StepError> {
    container::restart_with(work, resources).await?;
    service::install(work, resources).await
}
