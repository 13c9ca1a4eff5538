//! Stops workspaces that nobody uses.

use chrono::TimeDelta;
use domain::agent::PowerAction;
use store::audit::By;

use crate::{app::App, power};

/// Workspaces stopped in one look.
const AT_ONCE: i64 = 50;

/// Looks once. The wish is stored as a customer's would be; what cannot be told to an agent now is delivered by the
/// watch over all servers.
pub async fn stop_idle(app: &App) -> Result<(), store::StoreError> {
    let minutes = app.ide.settings.idle_stop_minutes;
    if minutes == 0 {
        return Ok(());
    }
    let now = app.clock.now();
    let before = now - TimeDelta::minutes(minutes.into());
    for id in store::ide::idle(&app.db, before, AT_ONCE).await? {
        if !store::ide::wish_idle_stop(&app.db, id, before, By::itself("zpack-api"), now).await? {
            continue;
        }
        tracing::info!(instance = %id, "stopping a workspace that nobody uses");
        let Some(instance) = store::instances::get_for_work(&app.db, id).await? else { continue };
        if let Err(problem) = power::deliver(app, &instance, PowerAction::Stop).await {
            tracing::debug!(instance = %id, ?problem, "it will be stopped when its agent is back");
        }
    }
    Ok(())
}
