//! `/api/instances`: the caller's servers.

pub mod change;
pub mod create;
pub mod ide;
pub mod plan;
pub mod power;
pub mod read;

use domain::{ids::OperationId, operation::Operation};

use crate::{
    app::Work,
    auth::{Caller, Ownable as _},
    problem::Problem,
    view::AcceptedView,
};

/// The caller's operation with its instance, as both are now.
async fn accepted(work: &Work, caller: &Caller, operation: OperationId) -> Result<AcceptedView, Problem> {
    let owner = caller.customer.id;
    let operation = Operation::load(&work.db, owner, operation).await?.ok_or_else(Problem::not_found)?;
    let instance = store::instances::get(&work.db, owner, operation.instance_id).await?;
    Ok(AcceptedView { instance: instance.map(Into::into), operation: operation.into() })
}
