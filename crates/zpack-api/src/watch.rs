//! The watch over running servers: delivers wishes whose agent was away, and keeps what is shown of a server's power
//! true. It asks for nothing that the customer has not asked for.

use domain::{
    agent::PowerAction,
    ids::InstanceId,
    instance::{Instance, ObservedPower, PowerRefusal},
};
use futures_util::StreamExt as _;
use store::instances::{self, Watched};

use crate::{app::App, power, problem::Problem};

/// Servers looked at together.
const AT_ONCE: usize = 8;

/// Servers read from the database together.
const PAGE: i64 = 200;

/// Looks once at the unsettled servers, or at all.
pub async fn look(app: &App, unsettled_only: bool, beat: impl Fn()) -> Result<(), store::StoreError> {
    let mut after = None;
    loop {
        beat();
        let page = instances::watched(&app.db, after, PAGE, unsettled_only).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        futures_util::stream::iter(page)
            .for_each_concurrent(AT_ONCE, |watched| async move {
                if let Err(problem) = look_at(app, watched).await {
                    tracing::debug!(instance = %watched.id, ?problem, "a server could not be looked at");
                }
            })
            .await;
    }
}

async fn look_at(app: &App, watched: Watched) -> Result<(), Problem> {
    let Some(instance) = instances::get_for_work(&app.db, watched.id).await? else { return Ok(()) };
    if let Some(action) = watched.pending {
        return deliver(app, &instance, action).await;
    }
    let seen = match power::status(app, &instance).await {
        Ok(status) => status.state.into(),
        Err(_) => ObservedPower::Unknown,
    };
    Ok(instances::record_observed_power(&app.db, watched.id, seen, app.clock.now()).await?)
}

/// Delivers a wish, unless what has happened since forbids it.
async fn deliver(app: &App, instance: &Instance, action: PowerAction) -> Result<(), Problem> {
    match instance.allows_power(action) {
        Ok(()) => {
            power::deliver(app, instance, action).await?;
            tracing::info!(instance = %instance.id, ?action, "a wish was delivered late");
        }
        Err(PowerRefusal::Busy(_)) => {}
        Err(PowerRefusal::OnHold(_) | PowerRefusal::NotActive(_)) => {
            drop_wish(app, instance.id, action).await?;
        }
    }
    Ok(())
}

async fn drop_wish(app: &App, id: InstanceId, action: PowerAction) -> Result<(), Problem> {
    tracing::info!(instance = %id, ?action, "a wish is not possible any more and was dropped");
    Ok(instances::power_settled(&app.db, id, action).await?)
}
