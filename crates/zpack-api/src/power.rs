//! Switching instances: the wish goes to the database, then the agent is asked.

use std::{sync::Arc, time::Duration};

use domain::{
    agent::{AgentStatus, PowerAction},
    instance::{AGENT_PORT, Instance, Lifecycle, PowerRefusal},
};
use integrations::agent::{AgentError, AgentErrorKind, AgentSession};

use crate::{
    app::App,
    problem::{Code, Problem},
};

/// Longest wait for an agent's answer. It answers at once or not at all.
const AGENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Stores what is wanted, asks the agent, and stores what it says.
pub async fn switch(app: &App, instance: &Instance, action: PowerAction) -> Result<AgentStatus, Problem> {
    instance.allows_power(action)?;
    let (customer, id, now) = (instance.customer_id, instance.id, app.clock.now());
    if !store::instances::wish_power(&app.db, customer, id, action, now).await? {
        let detail =
            "The server has changed in this very moment. Nothing was done; look at it and try again.";
        return Err(Problem::new(Code::InstanceBusy, detail));
    }
    deliver(app, instance, action).await
}

/// Asks the agent for what is stored as wanted, and stores what it says. While the agent is away the wish stays, and
/// the watch delivers it.
pub async fn deliver(app: &App, instance: &Instance, action: PowerAction) -> Result<AgentStatus, Problem> {
    let answer = call(async { session(app, instance).await?.power(action).await }).await;
    if !answer.as_ref().is_err_and(AgentError::is_transient) {
        store::instances::power_settled(&app.db, instance.id, action).await?;
    }
    let kept = "Your wish is stored and will be carried out as soon as it is back.";
    let status = answer.map_err(|error| refused(&error, kept))?;
    store::instances::record_observed_power(&app.db, instance.id, status.state.into(), app.clock.now())
        .await?;
    Ok(status)
}

/// Asks the agent of an active instance.
pub async fn status(app: &App, instance: &Instance) -> Result<AgentStatus, Problem> {
    if instance.lifecycle != Lifecycle::Active {
        return Err(PowerRefusal::NotActive(instance.lifecycle).into());
    }
    let answer = call(async { session(app, instance).await?.status(None, Duration::ZERO).await }).await;
    answer.map_err(|error| refused(&error, "Nothing was changed."))
}

async fn call<T>(answer: impl Future<Output = Result<T, AgentError>>) -> Result<T, AgentError> {
    let late = || AgentError::Unreachable(format!("no answer within {AGENT_TIMEOUT:?}"));
    tokio::time::timeout(AGENT_TIMEOUT, answer).await.map_err(|_| late())?
}

/// A session pinned to the certificate that was found at the instance's enrolment.
async fn session(app: &App, instance: &Instance) -> Result<Arc<dyn AgentSession>, AgentError> {
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

fn refused(error: &AgentError, kept: &str) -> Problem {
    if error.kind() == AgentErrorKind::Conflict {
        return Problem::new(Code::AgentConflict, "The server's agent cannot do this in its present state.");
    }
    tracing::warn!(%error, "an agent did not do what it was asked");
    Problem::new(Code::AgentUnreachable, format!("The server's machine does not answer. {kept}"))
        .retry_after(5)
}
