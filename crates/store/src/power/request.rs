//! Asking for power: stored before anybody is asked to do it.

use chrono::{DateTime, Utc};
use domain::{
    agent::PowerAction,
    ids::{CustomerId, InstanceId},
    instance::{DesiredPower, StopReason},
    operation::OperationKind,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Delivery, deliver::LEASE_SECONDS, observe, text};
use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
};

/// What a customer, or a schedule of theirs, asks for.
#[derive(Clone, Copy, Debug)]
pub struct PowerRequest<'a> {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub instance: InstanceId,
    /// What.
    pub action: PowerAction,
    /// For the audit log.
    pub by: By<'a>,
}

/// Commits a request: the desired power, the request itself, the audit row. It is `owner`'s to deliver at once; if that
/// one dies, another does it when the lease has run out. Only for an active instance that is not busy
/// ([`ActiveOperation::is_busy`](domain::instance::ActiveOperation::is_busy)), and for a start only without a hold;
/// `None` if it is not so (the caller has looked before: it changed since).
pub async fn request(
    db: &Db,
    request: &PowerRequest<'_>,
    owner: &str,
    now: DateTime<Utc>,
) -> Result<Option<Delivery>, StoreError> {
    let desired = match request.action {
        PowerAction::Start | PowerAction::Restart => DesiredPower::Running,
        PowerAction::Stop | PowerAction::Kill => DesiredPower::Stopped,
    };
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "UPDATE instances i SET desired_power = $3, updated_at = $4
         WHERE id = $2 AND customer_id = $1 AND lifecycle = 'active'
           AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = i.id
                           AND o.state IN ('queued', 'running', 'undoing', 'stuck') AND o.kind = ANY($5))
           AND ($3 = 'stopped' OR NOT EXISTS (SELECT 1 FROM holds h WHERE h.instance_id = i.id
                                              AND h.lifted_at IS NULL))",
        request.customer.0,
        request.instance.0,
        desired.as_str(),
        now,
        &OperationKind::busy(),
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let asked = Asked { action: request.action, by: request.by.actor, reason: StopReason::Requested };
    let delivery = put(&mut tx, request.instance, asked, Some(owner)).await?;
    let detail = json!({ "action": text(request.action) });
    let entry = Entry::new(request.by, "instance.power", request.customer, detail);
    audit::record(&mut tx, entry.on(request.instance)).await?;
    tx.commit().await?;
    Ok(Some(delivery))
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// What.
    pub(crate) action: PowerAction,
    /// By whom.
    pub(crate) by: &'a str,
    /// Why it will not run, if it is to stop.
    pub(crate) reason: StopReason,
}

/// Puts a request in the place of whatever was asked for before; with an owner it is that one's to deliver. The caller
/// writes the audit row.
pub(crate) async fn put(
    tx: &mut PgConnection,
    instance: InstanceId,
    asked: Asked<'_>,
    owner: Option<&str>,
) -> Result<Delivery, StoreError> {
    observe::expect(&mut *tx, instance, asked).await?;
    let (request, action) = (Uuid::now_v7(), asked.action);
    let term = sqlx::query_scalar!(
        "INSERT INTO power_requests AS p (instance_id, id, action, requested_by, lease_owner, lease_term, lease_expires_at)
         VALUES ($1, $2, $3, $4, $5, 1, CASE WHEN $5::text IS NULL THEN NULL
                                        ELSE clock_timestamp() + make_interval(secs => $6) END)
         ON CONFLICT (instance_id) DO UPDATE SET
             id = excluded.id, action = excluded.action, requested_by = excluded.requested_by,
             requested_at = excluded.requested_at, attempts = 0, run_after = excluded.run_after,
             lease_owner = excluded.lease_owner, lease_term = p.lease_term + 1,
             lease_expires_at = excluded.lease_expires_at
         RETURNING lease_term",
        instance.0,
        request,
        text(action),
        asked.by,
        owner,
        LEASE_SECONDS,
    )
    .fetch_one(tx)
    .await?;
    Ok(Delivery { instance, action, attempts: 0, request, term })
}
