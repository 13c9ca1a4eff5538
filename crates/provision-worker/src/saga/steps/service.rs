//! The service in the container: installed, started, ready, stopped.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use domain::{
    agent::{AgentState, AgentStatus, PowerAction, ServiceSpec},
    blueprint::{Blueprint, RenderInput, ResolvedArtifact, Variant},
    instance::Resources,
};

use crate::saga::{
    Step, StepError, Work,
    wait::{Seen, fault, insist, is_down, watch},
};

/// How long an agent that was reachable a moment ago may take to take an order.
pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// Added to a blueprint's deadlines, so that the agent, which knows more, is the first to give up.
const SLACK: Duration = Duration::from_secs(10);

/// Gives the agent the blueprint's service and waits until it is installed.
pub(super) struct Install;

#[async_trait]
impl Step for Install {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        install(work, work.instance.resources).await
    }

    /// What was installed goes with the container.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// Gives the agent the blueprint's service for a server with these limits, and waits until it is installed. Where only the way in
/// which it runs is another one, nothing is installed anew.
pub(super) async fn install(work: &Work, resources: Resources) -> Result<(), StepError> {
    let blueprint = work.blueprint().await?;
    let variant = variant(&blueprint, work)?;
    let spec = service_spec(work, &blueprint, variant, resources).await?;
    let agent = work.agent().await?;
    insist(CALL_DEADLINE, || agent.put_service(&spec)).await?;
    let deadline = Duration::from_secs(variant.install_deadline_seconds);
    let late =
        || StepError::failed("install_too_slow", "Installing the game took too long. Please try again.");
    watch(work, &agent, deadline, late, |status| match status.state {
        _ if status.installed_revision.as_ref() == Some(&spec.revision) => Seen::Done,
        AgentState::Error => Seen::Failed(fault(status)),
        _ => Seen::Going(installing(status)),
    })
    .await
}

/// Asks the agent to start the service.
pub(super) struct Start;

#[async_trait]
impl Step for Start {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        let agent = work.agent().await?;
        insist(CALL_DEADLINE, || agent.power(PowerAction::Start)).await?;
        Ok(())
    }

    /// The process goes with the container.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// Waits until the service answers as its blueprint says.
pub(super) struct AwaitReady;

#[async_trait]
impl Step for AwaitReady {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        await_ready(work).await
    }

    /// Waiting has no effect.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// Stops the service as its blueprint says, so that it can save. If its agent is away, stopping the container does it.
pub(super) struct Stop;

#[async_trait]
impl Step for Stop {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        if work.instance.agent_fingerprint.is_none() || work.engine()?.inspect(work.id()).await?.is_none() {
            return Ok(());
        }
        match stop(work).await {
            Err(StepError::Failed { failure, cause }) => {
                tracing::warn!(code = failure.code, cause = ?cause, "the service did not stop by itself; stopping its container ends it");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// A delete does not turn round.
    async fn undo(&self, _: &Work) -> Result<(), StepError> {
        Ok(())
    }
}

/// Waits until a service that was started answers as its blueprint says.
pub(super) async fn await_ready(work: &Work) -> Result<(), StepError> {
    let blueprint = work.blueprint().await?;
    let seconds = variant(&blueprint, work)?.ready.deadline_seconds;
    let deadline = Duration::from_secs(seconds) + SLACK;
    let late = || {
        let message = format!("The server was not ready within {seconds} seconds.");
        StepError::failed("not_ready_in_time", message)
    };
    let agent = work.agent().await?;
    watch(work, &agent, deadline, late, |status| match status.state {
        AgentState::Running => Seen::Done,
        AgentState::Starting | AgentState::Stopping => Seen::Going(None),
        _ => Seen::Failed(fault(status)),
    })
    .await
}

/// Asks the service to stop, and waits until its process is gone.
pub(super) async fn stop(work: &Work) -> Result<(), StepError> {
    let blueprint = work.blueprint().await?;
    let grace = Duration::from_secs(variant(&blueprint, work)?.run.stop_grace_seconds) + SLACK;
    let agent = work.agent().await?;
    agent.power(PowerAction::Stop).await?;
    let late = || StepError::failed("stop_too_slow", "The server did not stop in time.");
    let judge = |status: &AgentStatus| if is_down(status.state) { Seen::Done } else { Seen::Going(None) };
    watch(work, &agent, grace, late, judge).await
}

pub(super) fn variant<'b>(blueprint: &'b Blueprint, work: &Work) -> Result<&'b Variant, StepError> {
    let variant = blueprint.variant(&work.instance.variant);
    variant.ok_or_else(|| StepError::internal("the blueprint has no such variant"))
}

fn installing(status: &AgentStatus) -> Option<String> {
    let step = status.install_step.clone()?;
    Some(status.progress.map_or(step.clone(), |percent| format!("{step} ({percent} %)")))
}

async fn service_spec(
    work: &Work,
    blueprint: &Blueprint,
    variant: &Variant,
    resources: Resources,
) -> Result<ServiceSpec, StepError> {
    let instance = &work.instance;
    let artifacts = resolve(work, &blueprint.id, variant).await?;
    let bind_address = work.services.bind_address.to_string();
    let input = RenderInput {
        bind_address: &bind_address,
        variant: &instance.variant,
        version: &instance.version,
        name: &instance.name,
        hostname: &instance.hostname,
        memory_mib: resources.memory_mib,
        disk_mib: resources.disk_mib,
        ports: &instance.ports,
        artifacts: &artifacts,
    };
    blueprint.render(&input).map_err(StepError::internal)
}

/// Where the variant's files are and how they are known: from the source's manifest, so that an agent downloads
/// only what the control plane has named.
async fn resolve(
    work: &Work,
    game: &str,
    variant: &Variant,
) -> Result<BTreeMap<String, ResolvedArtifact>, StepError> {
    let version = &work.instance.version;
    let missing = || {
        let message = format!(
            "Version {version} of {} is not available any more. Please choose another.",
            variant.name
        );
        StepError::failed("artifact_missing", message)
    };
    let mut found = BTreeMap::new();
    if variant.artifacts().next().is_none() {
        return Ok(found);
    }
    let source = &work.services.artifacts;
    let manifest = source.manifest(game, &variant.id, version).await?.ok_or_else(missing)?;
    for name in variant.artifacts() {
        let file = manifest.file(name).ok_or_else(missing)?;
        let url = source.url(game, &variant.id, version, name)?;
        let artifact = ResolvedArtifact { url, sha256: file.sha256.clone(), size: file.size };
        found.insert(name.to_owned(), artifact);
    }
    Ok(found)
}
