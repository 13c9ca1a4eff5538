//! Switching instances: the wish goes to the database, then the agent is asked.

use std::time::Duration;

use domain::{
    agent::{AgentStatus, PowerAction},
    instance::{Instance, Lifecycle, PowerRefusal},
};
use integrations::agent::{AgentError, AgentErrorKind};

use crate::{
    agent::{away, call, session},
    app::App,
    problem::{Code, Problem},
};

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

fn refused(error: &AgentError, kept: &str) -> Problem {
    if error.kind() == AgentErrorKind::Conflict {
        return Problem::new(Code::AgentConflict, "The server's agent cannot do this in its present state.");
    }
    away(error, kept)
}
