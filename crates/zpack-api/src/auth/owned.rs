//! Things of the caller's own, loaded by the id in the path and by their owner.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts, Path},
    http::request::Parts,
};
use domain::{
    backup::Backup,
    ids::{BackupId, CustomerId, InstanceId, OperationId, ScheduleId},
    instance::Instance,
    operation::Operation,
    schedule::Schedule,
};
use serde::de::DeserializeOwned;
use store::{Db, StoreError};

use super::{Auth, May, Permission};
use crate::problem::Problem;

/// Something that belongs to a customer.
pub trait Ownable: Sized + Send {
    /// What it is found by.
    type Id: DeserializeOwned + Send;

    /// The customer's thing with this id; `None` for somebody else's just as for one that does not exist.
    fn load(
        db: &Db,
        owner: CustomerId,
        id: Self::Id,
    ) -> impl Future<Output = Result<Option<Self>, StoreError>> + Send;
}

/// A thing of the caller's, who may do P. The path must have exactly the parameters of its id: one, or for a thing of
/// an instance's the instance's and its own.
pub struct Owned<T, P> {
    /// The thing as it was when the request came in.
    pub it: T,
    /// Its owner.
    pub caller: May<P>,
}

impl<S: Send + Sync, T: Ownable, P: Permission> FromRequestParts<S> for Owned<T, P>
where
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = May::<P>::from_request_parts(parts, state).await?;
        // What is no id names nothing.
        let Path(id) =
            Path::<T::Id>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let it = T::load(&Arc::<Auth>::from_ref(state).db, caller.customer.id, id)
            .await?
            .ok_or_else(Problem::not_found)?;
        Ok(Self { it, caller })
    }
}

impl Ownable for Instance {
    type Id = InstanceId;

    async fn load(db: &Db, owner: CustomerId, id: InstanceId) -> Result<Option<Self>, StoreError> {
        store::instances::get(db, owner, id).await
    }
}

impl Ownable for Operation {
    type Id = OperationId;

    async fn load(db: &Db, owner: CustomerId, id: OperationId) -> Result<Option<Self>, StoreError> {
        store::operations::get(db, owner, id).await
    }
}

impl Ownable for Backup {
    type Id = (InstanceId, BackupId);

    async fn load(
        db: &Db,
        owner: CustomerId,
        (instance, id): (InstanceId, BackupId),
    ) -> Result<Option<Self>, StoreError> {
        store::backups::get(db, owner, instance, id).await
    }
}

impl Ownable for Schedule {
    type Id = (InstanceId, ScheduleId);

    async fn load(
        db: &Db,
        owner: CustomerId,
        (instance, id): (InstanceId, ScheduleId),
    ) -> Result<Option<Self>, StoreError> {
        store::schedules::get(db, owner, instance, id).await
    }
}
