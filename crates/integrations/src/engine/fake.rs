//! An engine that only remembers: an inventory, the calls it received, and scenarios.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::InstanceId;

use super::{Container, ContainerSpec, ContainerState, Engine, EngineError};
use crate::scenario::{Scenario, lock};

/// A recording fake. Its containers have no processes.
#[derive(Debug, Default)]
pub struct FakeEngine {
    /// What goes wrong, and what was called.
    pub scenario: Scenario,
    containers: Mutex<BTreeMap<InstanceId, (ContainerSpec, ContainerState)>>,
}

impl FakeEngine {
    /// What was created and not deleted, and with which spec.
    pub fn inventory(&self) -> Vec<(ContainerSpec, ContainerState)> {
        lock(&self.containers).values().cloned().collect()
    }

    fn set(&self, id: InstanceId, state: ContainerState) -> Result<(), EngineError> {
        lock(&self.containers).get_mut(&id).map(|entry| entry.1 = state).ok_or(EngineError::NotFound(id))
    }
}

fn injected() -> EngineError {
    EngineError::Transient { action: "do this", reason: "the scenario says so".into() }
}

fn seen((spec, state): &(ContainerSpec, ContainerState)) -> Container {
    Container {
        instance_id: spec.instance_id,
        name: spec.name.clone(),
        state: *state,
        pid: None,
        resources: spec.resources,
        ports: spec.ports.clone(),
        created_at: DateTime::<Utc>::UNIX_EPOCH,
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let work = || {
            let mut containers = lock(&self.containers);
            let state = containers.get(&spec.instance_id).map_or(ContainerState::Stopped, |entry| entry.1);
            containers.insert(spec.instance_id, (spec.clone(), state));
            Ok(())
        };
        self.scenario.play("create", spec.instance_id, injected, work).await
    }

    async fn start(&self, id: InstanceId) -> Result<(), EngineError> {
        self.scenario.play("start", id, injected, || self.set(id, ContainerState::Running)).await
    }

    async fn stop(&self, id: InstanceId, _grace: Duration) -> Result<(), EngineError> {
        let work = || match self.set(id, ContainerState::Stopped) {
            Err(EngineError::NotFound(_)) => Ok(()),
            other => other,
        };
        self.scenario.play("stop", id, injected, work).await
    }

    async fn delete(&self, id: InstanceId) -> Result<(), EngineError> {
        let work = || {
            lock(&self.containers).remove(&id);
            Ok(())
        };
        self.scenario.play("delete", id, injected, work).await
    }

    async fn inspect(&self, id: InstanceId) -> Result<Option<Container>, EngineError> {
        let work = || Ok(lock(&self.containers).get(&id).map(seen));
        self.scenario.play("inspect", id, injected, work).await
    }

    async fn list(&self) -> Result<Vec<Container>, EngineError> {
        let work = || Ok(lock(&self.containers).values().map(seen).collect());
        self.scenario.play("list", "", injected, work).await
    }

    async fn list_unmarked(&self) -> Result<Vec<InstanceId>, EngineError> {
        self.scenario.play("list_unmarked", "", injected, || Ok(Vec::new())).await
    }
}
