//! `/api/instances/{id}/files`: what is in a server's data folder.

pub mod change;
pub mod content;
pub mod job;
pub mod read;
pub mod uploads;

use domain::{
    ids::{CustomerId, InstanceId},
    instance::Instance,
};
use store::{Db, StoreError};
use uuid::Uuid;

use crate::auth::Ownable;

/// A job or an upload by its path. Whether it exists only its server's agent knows.
pub struct AtAgent {
    instance: Instance,
    id: Uuid,
}

impl Ownable for AtAgent {
    type Id = (InstanceId, Uuid);

    async fn load(
        db: &Db,
        owner: CustomerId,
        (instance, id): (InstanceId, Uuid),
    ) -> Result<Option<Self>, StoreError> {
        let instance = Instance::load(db, owner, instance).await?;
        Ok(instance.map(|instance| Self { instance, id }))
    }
}
