//! The container: made, started, stopped, removed.

use std::time::Duration;

use async_trait::async_trait;
use domain::instance::Resources;
use integrations::engine::ContainerSpec;

use crate::saga::{Step, StepError, Work, agent_port};

/// How long a container may take to stop by itself; its agent stops the game meanwhile.
const STOP_GRACE: Duration = Duration::from_secs(15);

/// Processes and threads of a container. A JVM has some dozens; a fork bomb has more.
const PIDS: u32 = 512;

/// Makes the container, stopped, with its trust bundle in it.
pub(super) struct Create;

#[async_trait]
impl Step for Create {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.engine()?.create(&spec(work, work.instance.resources)?).await?)
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.engine()?.delete(work.id()).await?)
    }
}

/// What the container is to be, with these limits.
fn spec(work: &Work, resources: Resources) -> Result<ContainerSpec, StepError> {
    let instance = &work.instance;
    Ok(ContainerSpec {
        instance_id: work.id(),
        name: instance.hostname.clone(),
        resources,
        pids: PIDS,
        ports: instance.ports.clone(),
        agent_port: agent_port(instance)?,
        trust: work.trust(),
    })
}

/// Starts the container anew with other limits. What runs in it was stopped before.
pub(super) async fn restart_with(work: &Work, resources: Resources) -> Result<(), StepError> {
    let engine = work.engine()?;
    let spec = spec(work, resources)?;
    engine.stop(work.id(), STOP_GRACE).await?;
    engine.create(&spec).await?;
    Ok(engine.start(work.id()).await?)
}

/// Starts the container, and with it the agent.
pub(super) struct Start;

#[async_trait]
impl Step for Start {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.engine()?.start(work.id()).await?)
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.engine()?.stop(work.id(), STOP_GRACE).await?)
    }
}

/// Stops the container.
pub(super) struct Stop;

#[async_trait]
impl Step for Stop {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.engine()?.stop(work.id(), STOP_GRACE).await?)
    }

    /// A delete does not turn round.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// Removes the container with all its data.
pub(super) struct Delete;

#[async_trait]
impl Step for Delete {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.engine()?.delete(work.id()).await?)
    }

    /// A delete does not turn round.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}
