//! The last steps: one transaction each, which ends the operation as well.

use async_trait::async_trait;
use store::operations;

use crate::saga::{Step, StepError, Work};

/// Hands the server over.
pub(super) struct MarkActive;

#[async_trait]
impl Step for MarkActive {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(operations::create_succeeded(&work.db, &work.lease, crate::BY).await?)
    }

    /// Had the transaction been committed, there would be no operation left to undo.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// Gives back ports and capacity.
pub(super) struct MarkDeleted;

#[async_trait]
impl Step for MarkDeleted {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(operations::delete_succeeded(&work.db, &work.lease, crate::BY).await?)
    }

    /// As for [`MarkActive`].
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}
