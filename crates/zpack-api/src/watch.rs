//! The watch over running servers: delivers power requests whose agent was away, and keeps what is shown of a server's
//! power and load true. It asks for nothing that was not requested.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chrono::{DateTime, Utc};
use domain::{
    agent::ServiceStats,
    clock::Clock,
    ids::InstanceId,
    instance::{Load, ObservedPower, PlayerCount, PowerRefusal},
};
use futures_util::StreamExt as _;
use store::{
    Db, StoreError, instances,
    power::{self, Delivery, Sighting},
};

use crate::{
    console::Stats,
    power::{Power, PowerError, sighting},
};

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
    /// What each used at the look before.
    used: Arc<Mutex<HashMap<InstanceId, (ServiceStats, Instant)>>>,
}

impl Watch {
    /// Over the instances of this database.
    pub fn new(db: Db, clock: Arc<dyn Clock>, power: Power) -> Self {
        Self { db, clock, power, used: Arc::default() }
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

    /// Looks once at servers in a state that passes, or at all, and then also at what they use.
    pub async fn look(&self, all: bool, beat: impl Fn()) -> Result<(), StoreError> {
        let begun = Instant::now();
        let mut after = None;
        loop {
            beat();
            let page = power::in_transition(&self.db, after, PAGE, all).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            let seen = futures_util::stream::iter(page)
                .map(|id| async move {
                    let seen = self.look_at(id, all).await;
                    seen.unwrap_or_else(|error| {
                        tracing::debug!(instance = %id, ?error, "the power of {id} could not be looked at");
                        None
                    })
                })
                .buffer_unordered(AT_ONCE)
                .filter_map(std::future::ready)
                .collect::<Vec<_>>()
                .await;
            power::record_seen(&self.db, &seen, self.clock.now()).await?;
        }
        if all {
            // Of those that were not there any more.
            self.used().retain(|_, (_, at)| *at >= begun);
            power::forget_old_samples(&self.db, self.clock.now()).await?;
        }
        Ok(())
    }

    async fn look_at(&self, id: InstanceId, load: bool) -> Result<Option<Sighting>, StoreError> {
        let Some(instance) = instances::get_for_work(&self.db, id).await? else { return Ok(None) };
        let looked = self.power.look(&instance, load).await;
        let now = self.clock.now();
        let Ok((status, usage)) = looked else {
            let power = ObservedPower::Unknown;
            return Ok(Some(Sighting { instance: id, power, heard_at: None, load: None, fault: None }));
        };
        let load = usage.map(|usage| self.load(id, &usage, now));
        Ok(Some(Sighting { load, ..sighting(id, &status, now) }))
    }

    /// Processor use is a difference to the look before.
    #[expect(clippy::cast_possible_truncation, reason = "per cent of one core need no more than 24 bits")]
    fn load(&self, id: InstanceId, stats: &ServiceStats, now: DateTime<Utc>) -> Load {
        let at = Instant::now();
        let before = self.used().insert(id, (stats.clone(), at));
        let passed = before.as_ref().map(|(stats, then)| (stats, at.duration_since(*then)));
        let players = stats.players.as_ref().filter(|_| stats.uptime_ms > 0);
        Load {
            measured_at: now,
            cpu_percent: Stats::between(passed, stats).cpu_percent.map(|percent| percent as f32),
            memory_bytes: stats.memory_bytes,
            disk_bytes: stats.disk_bytes,
            players: players.map(|it| PlayerCount { online: it.online, max: it.max }),
        }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<InstanceId, (ServiceStats, Instant)>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
