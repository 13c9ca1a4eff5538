//! The edge: reachable, and not any more.

use std::time::Duration;

use async_trait::async_trait;
use integrations::edge::Publication;
use store::operations;

use crate::saga::{Step, StepError, Work, wait::insist};

/// How long the edge may be away, or a new name unseen, before a server counts as not reachable.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(45);

/// The same for taking a name away.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(15);

/// Makes the server reachable and stores its address.
pub(super) struct Publish;

#[async_trait]
impl Step for Publish {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let Some(publication) = publication(work).await? else { return Ok(()) };
        let edge = &work.services.edge;
        let address = insist(PUBLISHED_WITHIN, || edge.publish(&publication)).await?;
        Ok(operations::save_address(&work.db, &work.lease, &address.to_string()).await?)
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        withdraw(work).await
    }
}

/// Takes the address away.
pub(super) struct Withdraw;

#[async_trait]
impl Step for Withdraw {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        if work.instance.ports.is_empty() {
            // A create that failed has been undone: nothing is published, and its ports are others' by now.
            return Ok(());
        }
        withdraw(work).await
    }

    /// A delete does not turn round.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

async fn withdraw(work: &Work) -> Result<(), StepError> {
    let Some(publication) = publication(work).await? else { return Ok(()) };
    let edge = &work.services.edge;
    Ok(insist(WITHDRAWN_WITHIN, || edge.withdraw(&publication)).await?)
}

/// What players reach; `None` for a workspace, which is opened through the control plane.
async fn publication(work: &Work) -> Result<Option<Publication>, StepError> {
    let blueprint = work.blueprint().await?;
    let publication = blueprint.publication(&work.instance, work.node().await?.public_host);
    publication.map_err(StepError::internal)
}
