//! The control plane's side of an agent: enrolment, and calls pinned to the certificate found there.

mod client;
mod error;
mod fake;
mod fingerprint;
mod read_only;
mod session;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    agent::{AgentStatus, PowerAction, ServiceSpec},
    ids::InstanceId,
};

pub use self::{
    client::AgentClient,
    error::{AgentError, AgentErrorKind},
    fake::FakeAgents,
    fingerprint::{Fingerprint, NotAFingerprint},
    read_only::ReadOnlyAgents,
};

/// Reaches the agents of all containers.
#[async_trait]
pub trait AgentApi: Send + Sync + std::fmt::Debug {
    /// Asks the agent at `addr` to prove, with the secret of its trust bundle, that the certificate of this very
    /// connection is its own, and returns the certificate's fingerprint to be pinned.
    async fn enrol(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        secret: &[u8],
    ) -> Result<Fingerprint, AgentError>;

    /// A session that talks to no certificate but this one. Does not connect yet.
    fn connect(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn AgentSession>, AgentError>;
}

/// Talks to one agent. Every call carries a fresh token of its own scope.
#[async_trait]
pub trait AgentSession: Send + Sync + std::fmt::Debug {
    /// Its status: at once without `since`; otherwise as soon as its revision is above `since`, or after `wait`
    /// (cut to [`domain::agent::MAX_STATUS_WAIT_MS`]).
    async fn status(&self, since: Option<u64>, wait: Duration) -> Result<AgentStatus, AgentError>;

    /// Sets what is installed and run. The same revision again is a no-op.
    async fn put_service(&self, spec: &ServiceSpec) -> Result<AgentStatus, AgentError>;

    /// Asks for a power action; answers at once, the status tells the rest.
    async fn power(&self, action: PowerAction) -> Result<AgentStatus, AgentError>;

    /// The last `lines` lines of output, oldest first.
    async fn console_tail(&self, lines: u32) -> Result<Vec<String>, AgentError>;
}
