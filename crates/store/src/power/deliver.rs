//! Bringing power requests to agents: by one process at a time, under a lease.

use domain::{agent::PowerAction, ids::InstanceId};
use uuid::Uuid;

use super::parse;
use crate::{Db, StoreError, operations::held};

/// How long a request is its deliverer's: longer than a call to an agent may take.
pub(super) const LEASE_SECONDS: f64 = 15.0;

/// A request that this process brings to its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// To whose agent.
    pub instance: InstanceId,
    /// What is asked.
    pub action: PowerAction,
    /// How often it was asked in vain.
    pub attempts: i32,
    pub(super) request: Uuid,
    pub(super) term: i64,
}

/// Up to `limit` requests that are due and that nobody brings, those that wait longest first.
pub async fn claim_due(db: &Db, owner: &str, limit: i64) -> Result<Vec<Delivery>, StoreError> {
    let rows = sqlx::query!(
        "UPDATE power_requests SET lease_owner = $1, lease_term = lease_term + 1,
                lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         WHERE instance_id IN (
             SELECT instance_id FROM power_requests
             WHERE run_after <= clock_timestamp()
               AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
             ORDER BY run_after LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING instance_id, action, attempts, id, lease_term",
        owner,
        limit,
        LEASE_SECONDS,
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Delivery {
                instance: InstanceId(row.instance_id),
                action: parse(&row.action)?,
                attempts: row.attempts,
                request: row.id,
                term: row.lease_term,
            })
        })
        .collect()
}

/// The agent has taken it, or it is not to be delivered any more. A request made since stays, and so does one that
/// somebody else brings by now: [`StoreError::LeaseLost`].
pub async fn delivered(db: &Db, delivery: &Delivery) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "DELETE FROM power_requests WHERE instance_id = $1 AND id = $2 AND lease_term = $3",
        delivery.instance.0,
        delivery.request,
        delivery.term,
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// The agent could not be asked: somebody tries again in `seconds`.
pub async fn retry_later(db: &Db, delivery: &Delivery, seconds: u32) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE power_requests SET attempts = attempts + 1, lease_owner = NULL, lease_expires_at = NULL,
                run_after = clock_timestamp() + make_interval(secs => $4)
         WHERE instance_id = $1 AND id = $2 AND lease_term = $3",
        delivery.instance.0,
        delivery.request,
        delivery.term,
        f64::from(seconds),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}
