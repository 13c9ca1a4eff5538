//! Stops workspaces that nobody uses.

use chrono::{DateTime, TimeDelta, Utc};
use store::{Db, StoreError, audit::By};

use crate::power::Power;

/// Workspaces stopped in one look.
const AT_ONCE: i64 = 50;

/// Looks once. The request is stored as a customer's would be; what an agent cannot be told now is delivered by the watch
/// over all servers.
pub async fn stop_idle(
    db: &Db,
    power: &Power,
    idle_after: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let before = now - idle_after;
    for id in store::ide::idle(db, before, AT_ONCE).await? {
        let by = By::itself("zpack-api");
        let Some(delivery) = store::ide::request_idle_stop(db, id, before, by, power.owner(), now).await?
        else {
            continue;
        };
        let Some(instance) = store::instances::get_for_work(db, id).await? else { continue };
        let hostname = &instance.hostname;
        tracing::info!(instance = %id, "stopping the workspace {hostname}, which nobody uses");
        if let Err(error) = power.deliver(&instance, &delivery).await {
            tracing::debug!(instance = %id, ?error, "{hostname} is stopped when its agent is back");
        }
    }
    Ok(())
}
