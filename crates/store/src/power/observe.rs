//! What was seen of servers' power.

use chrono::{DateTime, Utc};
use domain::{ids::InstanceId, instance::ObservedPower};
use uuid::Uuid;

use crate::{Db, StoreError};

/// Stores what was seen. Touches no other axis.
pub async fn record_observed(
    db: &Db,
    id: InstanceId,
    seen: ObservedPower,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE instances SET observed_power = $2, updated_at = $3
         WHERE id = $1 AND observed_power <> $2 AND lifecycle = 'active'",
        id.0,
        seen.as_str(),
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Up to `limit` active instances after `after`, by id, whoever owns them: those in a state that passes, or with `all`
/// every one. For the daemons' own look, never for a request.
pub async fn in_transition(
    db: &Db,
    after: Option<InstanceId>,
    limit: i64,
    all: bool,
) -> Result<Vec<InstanceId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM instances
         WHERE lifecycle = 'active' AND id > $1 AND ($3 OR observed_power IN ('starting', 'stopping'))
         ORDER BY id LIMIT $2",
        after.map_or(Uuid::nil(), |id| id.0),
        limit,
        all,
    )
    .fetch_all(db.pool())
    .await?;
    Ok(ids.into_iter().map(InstanceId).collect())
}
