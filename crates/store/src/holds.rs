//! Holds: reasons for which an instance may not run. Each change is one transaction with its audit row; customers are
//! told of it by `announce_hold`, whoever makes it.

use chrono::{DateTime, Utc};
use domain::{
    agent::PowerAction,
    ids::{CustomerId, InstanceId},
    instance::{HoldReason, StopReason},
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
    power,
};

/// A hold to be placed.
#[derive(Clone, Copy, Debug)]
pub struct NewHold<'a> {
    /// On what.
    pub instance: InstanceId,
    /// Why.
    pub reason: HoldReason,
    /// For its customer and for operators.
    pub note: &'a str,
    /// Whether the server is asked to stop. Its desired power stays: who lifts the hold finds what the customer wants.
    pub stop: bool,
    /// Who places it.
    pub by: By<'a>,
}

/// Places a hold. One with the same reason in force stays as it is. Returns whether it was placed.
pub async fn place(db: &Db, hold: &NewHold<'_>, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (instance_id, reason) WHERE lifted_at IS NULL DO NOTHING",
        Uuid::now_v7(),
        hold.instance.0,
        hold.reason.as_str(),
        hold.note,
        hold.by.actor,
        now,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    if hold.stop {
        let asked = power::Asked { action: PowerAction::Stop, by: hold.by.actor, reason: StopReason::Hold };
        power::put(&mut tx, hold.instance, asked, None).await?;
    }
    let detail = json!({ "reason": hold.reason.as_str(), "note": hold.note, "stop": hold.stop });
    record(&mut tx, hold.instance, "instance.hold_placed", hold.by, detail).await?;
    tx.commit().await?;
    Ok(true)
}

/// Lifts the hold with this reason, and no other. Returns whether there was one.
pub async fn lift(
    db: &Db,
    instance: InstanceId,
    reason: HoldReason,
    by: By<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let lifted = lift_in(&mut tx, instance, reason, by, now).await?;
    tx.commit().await?;
    Ok(lifted)
}

/// Lifts the hold with this reason, and asks for a start of what is to run and may again. Returns whether there was one.
pub async fn release(
    db: &Db,
    instance: InstanceId,
    reason: HoldReason,
    by: By<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    if !lift_in(&mut tx, instance, reason, by, now).await? {
        return Ok(false);
    }
    let runs_again = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM instances i WHERE i.id = $1 AND i.lifecycle = 'active' AND i.desired_power = 'running'
                          AND NOT EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL)) AS "runs!""#,
        instance.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if runs_again {
        let asked = power::Asked { action: PowerAction::Start, by: by.actor, reason: StopReason::Requested };
        power::put(&mut tx, instance, asked, None).await?;
    }
    tx.commit().await?;
    Ok(true)
}

async fn lift_in(
    tx: &mut PgConnection,
    instance: InstanceId,
    reason: HoldReason,
    by: By<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE holds SET lifted_at = $3 WHERE instance_id = $1 AND reason = $2 AND lifted_at IS NULL",
        instance.0,
        reason.as_str(),
        now,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    record(tx, instance, "instance.hold_lifted", by, json!({ "reason": reason.as_str() })).await?;
    Ok(true)
}

async fn record(
    tx: &mut PgConnection,
    instance: InstanceId,
    action: &str,
    by: By<'_>,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    let owner = sqlx::query_scalar!("SELECT customer_id FROM instances WHERE id = $1", instance.0)
        .fetch_one(&mut *tx)
        .await?;
    audit::record(tx, Entry::new(by, action, CustomerId(owner), detail).on(instance)).await
}
