//! The steps of the sagas.
//!
//! Architecture invariant: `apply` and `undo` are idempotent and name the external object by the instance's id,
//! which was stored before anything was made; so anybody can repeat or undo a step without knowing how far it came.

mod error;
mod steps;
mod wait;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    agent::{Scope, TrustBundle, TrustedKey},
    backup::Backup,
    ids::{BackupId, InstanceId},
    instance::{AGENT_PORT, Instance},
    operation::StepName,
    token::Signer,
};
use integrations::{
    agent::{self, AgentApi, AgentSession},
    artifacts::ArtifactSource,
    edge::Edge,
    engine::{Engine, Engines},
    objects::ObjectStore,
};
use store::{Db, nodes::NodeHosts, operations::Lease};

pub(crate) use error::STORAGE_UNREACHABLE;
pub use error::StepError;
pub use steps::standard;
pub(crate) use wait::insist;

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
pub struct Services {
    /// Run containers, each on its nodes.
    pub engines: Engines,
    /// Talks to agents.
    pub agents: Arc<dyn AgentApi>,
    /// Knows installable files.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Where backups lie.
    pub objects: Arc<dyn ObjectStore>,
    /// How long what concerns them may take.
    pub backups: BackupLimits,
    /// Makes servers reachable.
    pub edge: Arc<dyn Edge>,
    /// What servers listen on in their containers.
    pub bind_address: IpAddr,
    /// This worker's key.
    pub signer: Arc<Signer>,
    /// Other daemons' keys that agents are to trust.
    pub trusted: Vec<TrustedKey>,
}

/// Bounds on work with backups. They are the control plane's own: whoever plays an agent's part decides neither how long
/// it holds a place nor how much is stored.
#[derive(Clone, Copy, Debug)]
pub struct BackupLimits {
    /// How long a signed address of the storage is good. An agent that needs longer is given new ones.
    pub address_life: Duration,
    /// Longest time that making, staging or verifying one may take, whatever its size.
    pub deadline: Duration,
    /// How long the work may get no further, beside what moving a hundredth of a server's disk takes.
    pub stall: Duration,
    /// MiB a second that are moved at least.
    pub slowest_mib_per_second: u32,
}

/// What a backup's work may take beside moving its bytes.
const BACKUP_OVERHEAD: Duration = Duration::from_mins(10);

impl BackupLimits {
    /// Longest time for a server with so much disk. Twice the plan, since what a game itself writes is not held to it
    /// everywhere.
    pub fn longest(&self, disk_mib: u32) -> Duration {
        self.deadline.min(BACKUP_OVERHEAD + self.moving(u64::from(disk_mib) * 2))
    }

    /// How long it may get no further with so much disk: progress is told in hundredths.
    pub fn longest_stall(&self, disk_mib: u32) -> Duration {
        self.stall + self.moving(u64::from(disk_mib) / 50)
    }

    fn moving(&self, mib: u64) -> Duration {
        Duration::from_secs(mib / u64::from(self.slowest_mib_per_second.max(1)))
    }
}

/// How long the name of a node may take to be resolved.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

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
    /// Which backup the operation is about.
    pub backup: Option<BackupId>,
    /// Everything else.
    pub services: Services,
}

impl Work {
    /// The mark on everything outside.
    pub fn id(&self) -> InstanceId {
        self.instance.id
    }

    /// Runs the instance's container.
    fn engine(&self) -> Result<&Arc<dyn Engine>, StepError> {
        Ok(self.services.engines.of(self.instance.node_id)?)
    }

    /// Where the instance's node is reached.
    async fn node(&self) -> Result<NodeHosts, StepError> {
        node(&self.db, &self.instance).await
    }

    async fn blueprint(&self) -> Result<domain::blueprint::Blueprint, StepError> {
        store::blueprints::get(&self.db, &self.instance.blueprint_version)
            .await?
            .ok_or_else(|| StepError::internal("the blueprint's content is not stored"))
    }

    async fn agent_addr(&self) -> Result<SocketAddr, StepError> {
        agent_addr(&self.db, &self.instance).await
    }

    async fn agent(&self) -> Result<Arc<dyn AgentSession>, StepError> {
        agent_of(&self.db, &self.services, self.id()).await
    }

    /// The backup as it is now.
    async fn backup(&self) -> Result<Backup, StepError> {
        let id = self.backup.ok_or_else(|| StepError::internal("the operation names no backup"))?;
        let backup = store::backups::get_for_work(&self.db, id).await?;
        backup.ok_or_else(|| StepError::internal("the operation's backup is not there"))
    }

    fn trust(&self) -> TrustBundle {
        let mut keys = self.services.trusted.clone();
        keys.push(self.services.signer.trusted_key(SCOPES.to_vec()));
        TrustBundle {
            instance_id: self.id(),
            enrolment_secret: domain::agent::encode_secret(&self.services.signer.enrolment_secret(self.id())),
            keys,
        }
    }

    /// Tells people how the step gets on. Fails once it was asked for that the operation be given up.
    async fn report(&self, detail: &str) -> Result<(), StepError> {
        if store::operations::report(&self.db, &self.lease, detail).await? {
            return Err(StepError::cancelled());
        }
        Ok(())
    }
}

fn agent_port(instance: &Instance) -> Result<u16, StepError> {
    let port = instance.port(AGENT_PORT);
    port.map(|port| port.port).ok_or_else(|| StepError::internal("the instance has no agent port"))
}

async fn node(db: &Db, instance: &Instance) -> Result<NodeHosts, StepError> {
    let hosts = store::nodes::hosts(db, instance.node_id).await?;
    hosts.ok_or_else(|| StepError::internal("the instance's node is not registered"))
}

async fn agent_addr(db: &Db, instance: &Instance) -> Result<SocketAddr, StepError> {
    let (host, port) = (node(db, instance).await?.agent_host, agent_port(instance)?);
    Ok(insist(RESOLVE_DEADLINE, || agent::resolve(&host, port)).await?)
}

/// A session pinned to the certificate found at enrolment. Read anew: enrolment may be this operation's own.
pub async fn agent_of(
    db: &Db,
    services: &Services,
    id: InstanceId,
) -> Result<Arc<dyn AgentSession>, StepError> {
    let instance = store::instances::get_for_work(db, id).await?;
    let instance = instance.ok_or_else(|| StepError::internal("the instance is deleted"))?;
    let fingerprint = instance.agent_fingerprint.as_deref();
    let fingerprint = fingerprint.ok_or_else(|| StepError::internal("the agent is not enrolled"))?;
    let fingerprint = fingerprint.parse().map_err(StepError::internal)?;
    Ok(services.agents.connect(agent_addr(db, &instance).await?, id, &fingerprint)?)
}
