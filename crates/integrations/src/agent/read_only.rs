//! Agents that can be looked at and not told anything.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    agent::{AgentStatus, PowerAction, ServiceSpec},
    ids::InstanceId,
};

use super::{AgentApi, AgentError, AgentSession, Fingerprint};

/// Passes looks on (enrolment is one: it changes nothing at the agent) and refuses everything else.
#[derive(Clone, Debug)]
pub struct ReadOnlyAgents(pub Arc<dyn AgentApi>);

#[derive(Debug)]
struct ReadOnlySession(Arc<dyn AgentSession>);

#[async_trait]
impl AgentApi for ReadOnlyAgents {
    async fn enrol(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        secret: &[u8],
    ) -> Result<Fingerprint, AgentError> {
        self.0.enrol(addr, instance, secret).await
    }

    fn connect(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn AgentSession>, AgentError> {
        Ok(Arc::new(ReadOnlySession(self.0.connect(addr, instance, fingerprint)?)))
    }
}

#[async_trait]
impl AgentSession for ReadOnlySession {
    async fn status(&self, since: Option<u64>, wait: Duration) -> Result<AgentStatus, AgentError> {
        self.0.status(since, wait).await
    }

    async fn put_service(&self, _: &ServiceSpec) -> Result<AgentStatus, AgentError> {
        Err(AgentError::ReadOnly("put_service"))
    }

    async fn power(&self, _: PowerAction) -> Result<AgentStatus, AgentError> {
        Err(AgentError::ReadOnly("power"))
    }

    async fn console_tail(&self, lines: u32) -> Result<Vec<String>, AgentError> {
        self.0.console_tail(lines).await
    }
}
