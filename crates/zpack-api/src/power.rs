//! Switching instances: the request goes to the database, then the agent is asked.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    agent::{AgentStatus, PowerAction, ServiceStats},
    clock::Clock,
    ids::InstanceId,
    instance::{Instance, Lifecycle, PowerRefusal},
};
use integrations::agent::AgentError;
use store::{
    Db, StoreError,
    audit::By,
    power::{self, Delivery, PowerRequest, Sighting},
};

use crate::agent::{Agents, call};

/// First and longest pause before an agent that did not answer is asked again, in seconds.
const RETRY_SECONDS: (u32, u32) = (1, 30);

/// Why an instance could not be switched, or its power not be seen.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// It may not be done now.
    #[error(transparent)]
    Refused(#[from] PowerRefusal),
    /// Something came between the look and the request: nothing was stored.
    #[error("the server has changed in this very moment")]
    Changed,
    /// The request is stored, and the agent did not take it. If that may pass it is asked again.
    #[error("the request is stored, and the agent has not taken it")]
    Stored(#[source] AgentError),
    /// The agent could not be asked what it sees.
    #[error("the agent did not say how the server is")]
    Unseen(#[source] AgentError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Switches instances. Cheap to clone.
#[derive(Clone)]
pub struct Power {
    db: Db,
    clock: Arc<dyn Clock>,
    agents: Agents,
    owner: Arc<str>,
}

impl Power {
    /// `owner` names this process in leases.
    pub fn new(db: Db, clock: Arc<dyn Clock>, agents: Agents, owner: &str) -> Self {
        Self { db, clock, agents, owner: owner.into() }
    }

    /// Names this process in leases.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Stores what is wanted, asks the agent, and stores what it says. The request is ours to deliver meanwhile.
    pub async fn switch(
        &self,
        instance: &Instance,
        action: PowerAction,
        by: By<'_>,
    ) -> Result<AgentStatus, PowerError> {
        instance.allows_power(action)?;
        let request = PowerRequest { customer: instance.customer_id, instance: instance.id, action, by };
        let delivery = power::request(&self.db, &request, &self.owner, self.clock.now()).await?;
        self.deliver(instance, &delivery.ok_or(PowerError::Changed)?).await
    }

    /// Asks the agent for what was requested, and stores what it says. While the agent is away the request stays, and is
    /// delivered later by whoever claims it.
    pub async fn deliver(&self, instance: &Instance, delivery: &Delivery) -> Result<AgentStatus, PowerError> {
        let answer = call(async { self.agents.session(instance).await?.power(delivery.action).await }).await;
        let settled = match &answer {
            Err(error) if error.is_transient() => {
                power::retry_later(&self.db, delivery, pause_seconds(delivery.attempts)).await
            }
            _ => power::delivered(&self.db, delivery).await,
        };
        match settled {
            // Another request was made meanwhile, or took too long to be ours: whoever has it goes on.
            Ok(()) | Err(StoreError::LeaseLost) => {}
            Err(error) => return Err(error.into()),
        }
        let status = answer.map_err(PowerError::Stored)?;
        let now = self.clock.now();
        power::record_seen(&self.db, &[sighting(instance.id, &status, now)], now).await?;
        Ok(status)
    }

    /// Asks the agent of an active instance.
    pub async fn status(&self, instance: &Instance) -> Result<AgentStatus, PowerError> {
        Ok(self.look(instance, false).await?.0)
    }

    /// Asks the agent of an active instance; with `load` also what its service uses, without which there is an answer all
    /// the same.
    pub async fn look(
        &self,
        instance: &Instance,
        load: bool,
    ) -> Result<(AgentStatus, Option<ServiceStats>), PowerError> {
        if instance.lifecycle != Lifecycle::Active {
            return Err(PowerRefusal::NotActive(instance.lifecycle).into());
        }
        let look = async {
            let session = self.agents.session(instance).await?;
            let status = session.status(None, Duration::ZERO).await?;
            let usage = if load { session.stats().await.ok() } else { None };
            Ok((status, usage))
        };
        call(look).await.map_err(PowerError::Unseen)
    }
}

/// What is stored of an agent's answer.
pub fn sighting(instance: InstanceId, status: &AgentStatus, now: DateTime<Utc>) -> Sighting {
    let fault = status.error.as_ref().map(|fault| fault.message.clone());
    Sighting { instance, power: status.state.into(), heard_at: Some(now), load: None, fault }
}

/// Doubling.
fn pause_seconds(attempts: i32) -> u32 {
    let (first, longest) = RETRY_SECONDS;
    first.saturating_mul(2_u32.saturating_pow(attempts.unsigned_abs())).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_away_is_asked_again_soon_and_then_less_often() {
        assert_eq!([0, 1, 2, 5, 1_000].map(pause_seconds), [1, 2, 4, 30, 30]);
    }
}
