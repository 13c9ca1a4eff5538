//! Reaching the agent of an instance: the one place that knows where it is and how it is recognised.

use std::{sync::Arc, time::Duration};

use domain::instance::{AGENT_PORT, Instance};
use integrations::agent::{AgentError, AgentSession};

use crate::{
    app::App,
    problem::{Code, Problem},
};

/// Longest wait for an agent's answer. It answers at once or not at all.
const AGENT_TIMEOUT: Duration = Duration::from_secs(5);

/// A call's answer, if it comes in time.
pub async fn call<T>(answer: impl Future<Output = Result<T, AgentError>>) -> Result<T, AgentError> {
    let late = || AgentError::Unreachable(format!("no answer within {AGENT_TIMEOUT:?}"));
    tokio::time::timeout(AGENT_TIMEOUT, answer).await.map_err(|_| late())?
}

/// A session pinned to the certificate that was found at the instance's enrolment.
pub async fn session(app: &App, instance: &Instance) -> Result<Arc<dyn AgentSession>, AgentError> {
    let unknown = |what: &str| AgentError::Unreachable(what.to_owned());
    let port = instance.port(AGENT_PORT).ok_or_else(|| unknown("the agent has no port"))?.port;
    let fingerprint =
        instance.agent_fingerprint.as_deref().ok_or_else(|| unknown("the agent is not enrolled"))?;
    let fingerprint = fingerprint.parse().map_err(|_| unknown("the stored fingerprint is none"))?;
    let hosts = store::nodes::hosts(&app.db, instance.node_id).await;
    let hosts =
        hosts.map_err(|error| unknown(&error.to_string()))?.ok_or_else(|| unknown("the node is gone"))?;
    let mut addresses = tokio::net::lookup_host((hosts.agent_host.as_str(), port))
        .await
        .map_err(|error| unknown(&error.to_string()))?;
    let address = addresses.next().ok_or_else(|| unknown("the node has no address"))?;
    app.agents.connect(address, instance.id, &fingerprint)
}

/// What a customer is told when the agent is away; `kept` says what was not lost.
pub fn away(error: &AgentError, kept: &str) -> Problem {
    tracing::warn!(%error, "an agent did not do what it was asked");
    Problem::new(Code::AgentUnreachable, format!("The server's machine does not answer. {kept}"))
        .retry_after(5)
}
