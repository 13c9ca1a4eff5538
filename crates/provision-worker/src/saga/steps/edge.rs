//! The edge: reachable, and not any more.

use async_trait::async_trait;
use integrations::edge::Publication;
use store::operations;

use crate::saga::{Step, StepError, Work};

/// Makes the server reachable and stores its address.
pub(super) struct Publish;

#[async_trait]
impl Step for Publish {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let Some(publication) = publication(work).await? else { return Ok(()) };
        let address = work.services.edge.publish(&publication).await?;
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
    Ok(work.services.edge.withdraw(&publication).await?)
}

/// What players reach; `None` for a workspace, which is opened through the control plane.
async fn publication(work: &Work) -> Result<Option<Publication>, StepError> {
    let Some(port) = work.public_port().await? else { return Ok(None) };
    let (hostname, node_host) = (work.instance.hostname.clone(), work.node().await?.public_host);
    Ok(Some(Publication { instance_id: work.id(), hostname, node_host, port }))
}
