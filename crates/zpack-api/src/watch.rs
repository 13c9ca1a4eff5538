//! The watch over running servers: delivers power requests whose agent was away, and keeps what is shown of a server's
//! power true. It asks for nothing that was not requested.

use std::sync::Arc;

use domain::{
    clock::Clock,
    ids::InstanceId,
    instance::{Instance, ObservedPower, PowerRefusal},
};
use futures_util::StreamExt as _;
use store::{
    Db, StoreError, instances,
    power::{self, Delivery},
};

use crate::power::{Power, PowerError};

/// Servers asked together.
const AT_ONCE: usize = 8;

/// Servers, or power requests, read from the database together.
const PAGE: i64 = 200;

/// What the watch needs. Cheap to clone.
#[derive(Clone)]
pub struct Watch {
    db: Db,
    clock: Arc<dyn Clock>,
    power: Power,
}

impl Watch {
    /// Over the instances of this database.
    pub fn new(db: Db, clock: Arc<dyn Clock>, power: Power) -> Self {
        Self { db, clock, power }
    }

    /// Delivers what is due. Each request is claimed before: however many processes look, one delivers it.
    pub async fn deliver_due(&self) -> Result<(), StoreError> {
        let due = power::claim_due(&self.db, self.power.owner(), PAGE).await?;
        futures_util::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |delivery| async move {
                let (instance, action) = (delivery.instance, delivery.action);
                if let Err(error) = self.deliver(delivery).await {
                    tracing::debug!(%instance, ?error, "{action:?} of {instance} was not delivered; it is tried again");
                }
            })
            .await;
        Ok(())
    }

    /// Unless what has happened since forbids it.
    async fn deliver(&self, delivery: Delivery) -> Result<(), PowerError> {
        let Some(instance) = instances::get_for_work(&self.db, delivery.instance).await? else {
            return Ok(power::delivered(&self.db, &delivery).await?);
        };
        let (hostname, action) = (&instance.hostname, delivery.action);
        match instance.allows_power(action) {
            Ok(()) => {
                self.power.deliver(&instance, &delivery).await?;
                tracing::info!(instance = %instance.id, "the agent of {hostname} has taken the {action:?} asked for before");
                Ok(())
            }
            Err(PowerRefusal::Busy(_)) => Ok(power::retry_later(&self.db, &delivery, 1).await?),
            Err(refusal @ (PowerRefusal::OnHold(_) | PowerRefusal::NotActive(_))) => {
                tracing::info!(instance = %instance.id, "the {action:?} asked of {hostname} before is dropped: {refusal}");
                Ok(power::delivered(&self.db, &delivery).await?)
            }
        }
    }

    /// Looks once at servers in a state that passes, or at all.
    pub async fn look(&self, all: bool, beat: impl Fn()) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            beat();
            let page = power::in_transition(&self.db, after, PAGE, all).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            futures_util::stream::iter(page)
                .for_each_concurrent(AT_ONCE, |id| async move {
                    if let Err(error) = self.look_at(id).await {
                        tracing::debug!(instance = %id, ?error, "the power of {id} could not be looked at");
                    }
                })
                .await;
        }
    }

    async fn look_at(&self, id: InstanceId) -> Result<(), StoreError> {
        let Some(instance) = instances::get_for_work(&self.db, id).await? else { return Ok(()) };
        let seen = self.observe(&instance).await;
        power::record_observed(&self.db, id, seen, self.clock.now()).await
    }

    async fn observe(&self, instance: &Instance) -> ObservedPower {
        match self.power.status(instance).await {
            Ok(status) => status.state.into(),
            Err(_) => ObservedPower::Unknown,
        }
    }
}
