//! Reaching the agent of an instance: the one place that knows where it is and how it is recognised.

use std::{sync::Arc, time::Duration};

use domain::{
    ids::InstanceId,
    instance::{AGENT_PORT, Instance},
};
use integrations::agent::{self, AgentApi, AgentError, AgentSession};
use store::Db;

/// Longest wait for an agent's answer. It answers at once or not at all.
const AGENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The agents of all instances. Cheap to clone.
#[derive(Clone)]
pub struct Agents {
    db: Db,
    client: Arc<dyn AgentApi>,
}

impl Agents {
    /// Those of this database's instances.
    pub fn new(db: Db, client: Arc<dyn AgentApi>) -> Self {
        Self { db, client }
    }

    /// A session pinned to the certificate that was found at the instance's enrolment.
    pub async fn session(&self, instance: &Instance) -> Result<Arc<dyn AgentSession>, AgentError> {
        let unknown = |what: &str| AgentError::Unreachable(what.to_owned());
        let port = instance.port(AGENT_PORT).ok_or_else(|| unknown("the agent has no port"))?.port;
        let fingerprint =
            instance.agent_fingerprint.as_deref().ok_or_else(|| unknown("the agent is not enrolled"))?;
        let fingerprint = fingerprint.parse().map_err(|_| unknown("the stored fingerprint is none"))?;
        let hosts = store::nodes::hosts(&self.db, instance.node_id).await;
        let hosts =
            hosts.map_err(|error| unknown(&error.to_string()))?.ok_or_else(|| unknown("the node is gone"))?;
        let address = agent::resolve(&hosts.agent_host, port).await?;
        self.client.connect(address, instance.id, &fingerprint)
    }

    /// A session with the agent of the instance as it is now.
    pub async fn session_of(&self, instance: InstanceId) -> Result<Arc<dyn AgentSession>, AgentError> {
        let found = store::instances::get_for_work(&self.db, instance).await;
        let found = found.map_err(|error| AgentError::Unreachable(error.to_string()))?;
        let instance = found.ok_or_else(|| AgentError::Unreachable("the instance is gone".into()))?;
        self.session(&instance).await
    }
}

/// A call's answer, if it comes in time.
pub async fn call<T>(answer: impl Future<Output = Result<T, AgentError>>) -> Result<T, AgentError> {
    let late = || AgentError::Unreachable(format!("no answer within {AGENT_TIMEOUT:?}"));
    tokio::time::timeout(AGENT_TIMEOUT, answer).await.map_err(|_| late())?
}
