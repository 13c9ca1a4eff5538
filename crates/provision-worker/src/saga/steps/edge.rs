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
        let address = work.outside.edge.publish(&publication(work).await?).await?;
        Ok(operations::save_address(&work.db, &work.lease, &address.to_string()).await?)
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.outside.edge.withdraw(&publication(work).await?).await?)
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
        Ok(work.outside.edge.withdraw(&publication(work).await?).await?)
    }

    /// A delete does not turn round.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

async fn publication(work: &Work) -> Result<Publication, StepError> {
    Ok(Publication {
        instance_id: work.id(),
        hostname: work.instance.hostname.clone(),
        port: work.public_port().await?,
    })
}
