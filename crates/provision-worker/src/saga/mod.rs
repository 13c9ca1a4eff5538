//! The steps of the sagas.
//!
//! Architecture invariant: `apply` and `undo` are idempotent and name the external object by the instance's id,
//! which was stored before anything was made; so anybody can repeat or undo a step without knowing how far it came.

mod error;
mod steps;
mod wait;

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use domain::{
    agent::{Scope, TrustBundle, TrustedKey},
    ids::InstanceId,
    instance::{AGENT_PORT, AllocatedPort, Instance},
    operation::StepName,
    token::Signer,
};
use integrations::{
    agent::{AgentApi, AgentSession},
    artifacts::ArtifactSource,
    edge::Edge,
    engine::Engine,
};
use store::{Db, operations::Lease};

pub use error::StepError;
pub use steps::standard;

/// One step of a saga.
#[async_trait]
pub trait Step: Send + Sync {
    /// Takes effect, once or again.
    async fn apply(&self, work: &Work) -> Result<(), StepError>;

    /// Takes the effect back, whether or not it was there.
    async fn undo(&self, work: &Work) -> Result<(), StepError>;
}

/// Which step a name stands for. Tests put faults in between.
pub type Steps = Arc<dyn Fn(StepName) -> Arc<dyn Step> + Send + Sync>;

/// The worker's connections to everything outside the database.
#[derive(Clone)]
pub struct Outside {
    /// Runs containers.
    pub engine: Arc<dyn Engine>,
    /// Talks to agents.
    pub agents: Arc<dyn AgentApi>,
    /// Knows installable files.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Makes servers reachable.
    pub edge: Arc<dyn Edge>,
    /// What servers listen on in their containers.
    pub bind_address: IpAddr,
    /// This worker's key.
    pub signer: Arc<Signer>,
    /// Other daemons' keys that agents are to trust.
    pub trusted: Vec<TrustedKey>,
}

/// What this daemon may ask of an agent.
const SCOPES: [Scope; 5] = [Scope::Enrol, Scope::Observe, Scope::Install, Scope::Power, Scope::Backup];

/// What a step has at hand: one operation under one lease.
pub struct Work {
    /// The database.
    pub db: Db,
    /// Proof that the operation is ours.
    pub lease: Lease,
    /// The instance as it was when the operation was taken on.
    pub instance: Instance,
    /// Everything else.
    pub outside: Outside,
}

impl Work {
    /// The mark on everything outside.
    pub fn id(&self) -> InstanceId {
        self.instance.id
    }

    /// The port that players use: the blueprint's first. Ports are stored by name, so it is looked up there.
    async fn public_port(&self) -> Result<AllocatedPort, StepError> {
        let blueprint = self.blueprint().await?;
        let name = blueprint.ports.first().map_or("", |port| port.name.as_str());
        self.instance.port(name).cloned().ok_or_else(|| StepError::internal("the instance has no such port"))
    }

    async fn blueprint(&self) -> Result<domain::blueprint::Blueprint, StepError> {
        store::blueprints::get(&self.db, &self.instance.blueprint_version)
            .await?
            .ok_or_else(|| StepError::internal("the blueprint's content is not stored"))
    }

    fn agent_port(&self) -> Result<u16, StepError> {
        let port = self.instance.port(AGENT_PORT);
        port.map(|port| port.port).ok_or_else(|| StepError::internal("the instance has no agent port"))
    }

    async fn agent_addr(&self) -> Result<std::net::SocketAddr, StepError> {
        let container = self.outside.engine.inspect(self.id()).await?;
        container
            .map(|container| container.agent_addr)
            .ok_or_else(|| StepError::internal("there is no container"))
    }

    /// A session pinned to the certificate found at enrolment. Read anew: enrolment may be this operation's own.
    async fn agent(&self) -> Result<Arc<dyn AgentSession>, StepError> {
        let instance = store::instances::get_for_work(&self.db, self.id()).await?;
        let fingerprint = instance
            .and_then(|instance| instance.agent_fingerprint)
            .ok_or_else(|| StepError::internal("the agent is not enrolled"))?;
        let fingerprint = fingerprint.parse().map_err(StepError::internal)?;
        Ok(self.outside.agents.connect(self.agent_addr().await?, self.id(), &fingerprint)?)
    }

    fn trust(&self) -> TrustBundle {
        let mut keys = self.outside.trusted.clone();
        keys.push(self.outside.signer.trusted_key(SCOPES.to_vec()));
        TrustBundle {
            instance_id: self.id(),
            enrolment_secret: domain::agent::encode_secret(&self.outside.signer.enrolment_secret(self.id())),
            keys,
        }
    }

    async fn report(&self, detail: &str) -> Result<(), StepError> {
        Ok(store::operations::report(&self.db, &self.lease, detail).await?)
    }
}
