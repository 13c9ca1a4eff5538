//! Enrolment: learning which certificate is the agent's, and pinning it.

use std::time::Duration;

use async_trait::async_trait;
use store::operations;

use crate::saga::{Step, StepError, Work, wait::insist};

/// How long an agent may take from its container's start until it answers.
const BOOT_DEADLINE: Duration = Duration::from_secs(20);

/// Asks the agent for its proof and stores the certificate's fingerprint.
pub(super) struct Enrol;

#[async_trait]
impl Step for Enrol {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let (addr, id) = (work.agent_addr().await?, work.id());
        let secret = work.services.signer.enrolment_secret(id);
        let fingerprint = insist(BOOT_DEADLINE, || work.services.agents.enrol(addr, id, &secret)).await?;
        Ok(operations::save_fingerprint(&work.db, &work.lease, &fingerprint.to_string()).await?)
    }

    /// The certificate goes with the container; the row forgets it when the operation ends.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}
