//! An engine that can be looked at and not changed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::ids::InstanceId;

use super::{Container, ContainerSpec, Engine, EngineError};

/// Passes looks on and refuses everything else.
#[derive(Clone, Debug)]
pub struct ReadOnlyEngine(pub Arc<dyn Engine>);

#[async_trait]
impl Engine for ReadOnlyEngine {
    async fn create(&self, _: &ContainerSpec) -> Result<(), EngineError> {
        Err(EngineError::ReadOnly("create"))
    }

    async fn start(&self, _: InstanceId) -> Result<(), EngineError> {
        Err(EngineError::ReadOnly("start"))
    }

    async fn stop(&self, _: InstanceId, _: Duration) -> Result<(), EngineError> {
        Err(EngineError::ReadOnly("stop"))
    }

    async fn delete(&self, _: InstanceId) -> Result<(), EngineError> {
        Err(EngineError::ReadOnly("delete"))
    }

    async fn inspect(&self, id: InstanceId) -> Result<Option<Container>, EngineError> {
        self.0.inspect(id).await
    }

    async fn list(&self) -> Result<Vec<Container>, EngineError> {
        self.0.list().await
    }

    async fn list_unmarked(&self) -> Result<Vec<InstanceId>, EngineError> {
        self.0.list_unmarked().await
    }
}
