//! Power: what is wanted, whether its agent has heard of it, and what was seen.

use chrono::{DateTime, Utc};
use domain::{
    agent::PowerAction,
    ids::{CustomerId, InstanceId},
    instance::{DesiredPower, ObservedPower},
};
use uuid::Uuid;

use crate::{Db, StoreError};

/// Stores what the customer wants, before anybody is asked to do it. Only for an active instance that is not busy
/// ([`ActiveOperation::is_busy`](domain::instance::ActiveOperation::is_busy)), and for a start only without a hold;
/// `false` if it is not so (the caller has looked before: it changed since).
pub async fn wish_power(
    db: &Db,
    customer: CustomerId,
    id: InstanceId,
    action: PowerAction,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let desired = match action {
        PowerAction::Start | PowerAction::Restart => DesiredPower::Running,
        PowerAction::Stop | PowerAction::Kill => DesiredPower::Stopped,
    };
    let done = sqlx::query!(
        "UPDATE instances i SET desired_power = $3, pending_power = $4, updated_at = $5
         WHERE id = $2 AND customer_id = $1 AND lifecycle = 'active'
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = i.id
                           AND o.state IN ('queued', 'running', 'undoing', 'stuck') AND o.kind <> 'verify')
           AND ($3 = 'stopped' OR NOT EXISTS (SELECT 1 FROM holds h WHERE h.instance_id = i.id
                                              AND h.lifted_at IS NULL))",
        customer.0,
        id.0,
        desired.as_str(),
        text(action),
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The agent has taken the wish, or it is not to be delivered any more. Another wish made since stays.
pub async fn power_settled(db: &Db, id: InstanceId, action: PowerAction) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE instances SET pending_power = NULL WHERE id = $1 AND pending_power = $2",
        id.0,
        text(action),
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Stores what was seen. Touches no other axis.
pub async fn record_observed_power(
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

/// An active instance to look at, whoever owns it. For the daemons' own watch, never for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Which.
    pub id: InstanceId,
    /// A wish that its agent has not taken yet.
    pub pending: Option<PowerAction>,
}

/// Up to `limit` active instances after `after`, by id; with `unsettled_only` just those that have a wish to deliver
/// or are in a state that passes.
pub async fn watched(
    db: &Db,
    after: Option<InstanceId>,
    limit: i64,
    unsettled_only: bool,
) -> Result<Vec<Watched>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, pending_power FROM instances
         WHERE lifecycle = 'active' AND id > $1
           AND (NOT $3 OR pending_power IS NOT NULL OR observed_power IN ('starting', 'stopping'))
         ORDER BY id LIMIT $2",
        after.map_or(Uuid::nil(), |id| id.0),
        limit,
        unsettled_only,
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Watched {
                id: InstanceId(row.id),
                pending: row.pending_power.as_deref().map(parse).transpose()?,
            })
        })
        .collect()
}

fn text(action: PowerAction) -> &'static str {
    match action {
        PowerAction::Start => "start",
        PowerAction::Stop => "stop",
        PowerAction::Restart => "restart",
        PowerAction::Kill => "kill",
    }
}

fn parse(stored: &str) -> Result<PowerAction, StoreError> {
    let all = [PowerAction::Start, PowerAction::Stop, PowerAction::Restart, PowerAction::Kill];
    all.into_iter()
        .find(|action| text(*action) == stored)
        .ok_or_else(|| StoreError::corrupt("instances", format!("{stored:?} is not a power action")))
}
