//! What runs containers: one trait, whose implementations are found by instance id and touch only what they marked.

mod by_node;
mod error;
mod fake;
pub mod local;
mod read_only;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    agent::TrustBundle,
    ids::InstanceId,
    instance::{AllocatedPort, Resources},
};
use serde::{Deserialize, Serialize};

pub use self::{
    by_node::Engines,
    error::{EngineError, EngineErrorKind},
    fake::FakeEngine,
    read_only::ReadOnlyEngine,
};

/// Runs containers. Every method may be repeated; a container without our mark does not exist for it.
#[async_trait]
pub trait Engine: Send + Sync + std::fmt::Debug {
    /// Makes the container, stopped. Once more: it takes the new spec, which holds from its next start.
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError>;

    /// Starts it and sees to it that it keeps running. A no-op while it runs.
    async fn start(&self, id: InstanceId) -> Result<(), EngineError>;

    /// Asks it to stop, and kills it once `grace` is over. A no-op when it is stopped or does not exist.
    async fn stop(&self, id: InstanceId, grace: Duration) -> Result<(), EngineError>;

    /// Kills it if need be and removes all of it. A no-op when it does not exist.
    async fn delete(&self, id: InstanceId) -> Result<(), EngineError>;

    /// What is there now; `None` when it does not exist.
    async fn inspect(&self, id: InstanceId) -> Result<Option<Container>, EngineError>;

    /// Everything with our mark, complete or an error.
    async fn list(&self) -> Result<Vec<Container>, EngineError>;

    /// Instances under whose id there is something without our mark: only to be told of, never touched.
    async fn list_unmarked(&self) -> Result<Vec<InstanceId>, EngineError>;
}

/// What a container is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// Whose it is; the mark.
    pub instance_id: InstanceId,
    /// Its hostname: a DNS label.
    pub name: String,
    /// Limits of the customer's share; an engine adds what its agent needs.
    pub resources: Resources,
    /// Most processes and threads at once.
    pub pids: u32,
    /// The customer's ports.
    pub ports: Vec<AllocatedPort>,
    /// Where its agent listens, at the node's address.
    pub agent_port: u16,
    /// Written into the container before its agent starts.
    pub trust: TrustBundle,
}

/// Whether a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Nothing of it runs.
    Stopped,
    /// Its agent runs.
    Running,
}

/// A container as its engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Whose it is.
    pub instance_id: InstanceId,
    /// Its hostname.
    pub name: String,
    /// Whether it runs.
    pub state: ContainerState,
    /// Its outermost process on the engine's machine, while it runs.
    pub pid: Option<u32>,
    /// Limits of the customer's share.
    pub resources: Resources,
    /// The customer's ports.
    pub ports: Vec<AllocatedPort>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}
