//! Work for billing-worker, as rows that it leases.

use std::time::Duration;

use domain::{
    enforcement::{BillingAction, NotAnAction},
    ids::{BillingTaskId, CustomerId},
    lease::LEASE_SECONDS,
    text::foreign,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Db, StoreError,
    audit::By,
    operations::held,
    queue::{Backlog, Dispatch},
};

/// How long a task may wait for a worker before its job is enqueued again, in seconds.
const PATIENCE_SECONDS: f64 = 2.0;

/// A task that this process holds.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which.
    pub id: BillingTaskId,
    /// The lease's term.
    pub term: i64,
    /// What is asked for. Text: a worker may be asked for what it does not do.
    pub action: String,
    /// Because of which event.
    pub event: Option<String>,
    /// Of whom.
    pub customer: Option<CustomerId>,
    /// By whom.
    pub requested_by: String,
    /// Which attempt this is, from 1.
    pub attempts: i32,
}

/// Whether there is such a task.
pub async fn exists(db: &Db, id: BillingTaskId) -> Result<bool, StoreError> {
    let there =
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM billing_tasks WHERE id = $1) AS "there!""#, id.0);
    Ok(there.fetch_one(db.pool()).await?)
}

/// The one that is due longest and that nobody holds.
pub async fn next(db: &Db) -> Result<Option<BillingTaskId>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM billing_tasks WHERE state IN ('queued', 'running') AND run_after <= clock_timestamp()
           AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
         ORDER BY run_after, id LIMIT 1"
    );
    Ok(id.fetch_optional(db.pool()).await?.map(BillingTaskId))
}

/// Claims it, if it is due, has not ended and nobody holds it.
pub async fn claim(db: &Db, id: BillingTaskId, owner: &str) -> Result<Option<Claim>, StoreError> {
    let row = sqlx::query!(
        "UPDATE billing_tasks SET state = 'running', attempts = attempts + 1, lease_owner = $2, lease_term = lease_term + 1,
                lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         WHERE id = $1 AND state IN ('queued', 'running') AND run_after <= clock_timestamp()
           AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
         RETURNING lease_term, action, event_id, customer_id, requested_by, attempts",
        id.0,
        owner,
        f64::from(LEASE_SECONDS),
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(|row| Claim {
        id,
        term: row.lease_term,
        action: row.action,
        event: row.event_id,
        customer: row.customer_id.map(CustomerId),
        requested_by: row.requested_by,
        attempts: row.attempts,
    }))
}

/// Extends the lease.
pub async fn renew(db: &Db, claim: &Claim) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE billing_tasks SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        claim.id.0,
        claim.term,
        f64::from(LEASE_SECONDS),
    );
    held(done.execute(db.pool()).await?.rows_affected())
}

/// Lets go of it, so that another worker goes on at once.
pub async fn release(db: &Db, claim: &Claim) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE billing_tasks SET lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        claim.id.0,
        claim.term,
    );
    held(done.execute(db.pool()).await?.rows_affected())
}

/// It did not work out; somebody tries again after `delay`.
pub async fn retry_later(db: &Db, claim: &Claim, error: &str, delay: Duration) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE billing_tasks SET lease_owner = NULL, lease_expires_at = NULL, last_error = $3,
                run_after = clock_timestamp() + make_interval(secs => $4), enqueued_at = NULL
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        claim.id.0,
        claim.term,
        foreign(error),
        delay.as_secs_f64(),
    );
    held(done.execute(db.pool()).await?.rows_affected())
}

/// Ends it. One that is rejected is kept with the customer's history, if there is one.
pub async fn end(db: &Db, claim: &Claim, outcome: &str, rejected: bool) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "UPDATE billing_tasks SET state = $3, outcome = $4, finished_at = clock_timestamp(), lease_owner = NULL,
                lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        claim.id.0,
        claim.term,
        if rejected { "rejected" } else { "done" },
        outcome,
    );
    held(done.execute(&mut *tx).await?.rows_affected())?;
    if let (true, Some(customer)) = (rejected, claim.customer) {
        let evidence = json!({ "action": claim.action, "task": claim.id });
        super::enforcement::record(&mut tx, customer, "rejected", outcome, &evidence, &claim.requested_by)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What waits. `stuck` are those that failed often.
pub async fn backlog(db: &Db) -> Result<Backlog, StoreError> {
    let backlog = sqlx::query_as!(
        Backlog,
        r#"SELECT count(*) FILTER (WHERE run_after <= clock_timestamp()) AS "due!",
                  COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(created_at)), 0)::float8 AS "oldest_seconds!",
                  count(*) FILTER (WHERE attempts >= 5) AS "stuck!"
           FROM billing_tasks WHERE state IN ('queued', 'running')
             AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())"#
    );
    Ok(backlog.fetch_one(db.pool()).await?)
}

/// Up to `limit` tasks whose jobs seem lost; marks them as enqueued.
pub async fn take_unclaimed(db: &Db, limit: i64) -> Result<Vec<BillingTaskId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "UPDATE billing_tasks SET enqueued_at = clock_timestamp() WHERE id IN (
             SELECT id FROM billing_tasks
             WHERE state IN ('queued', 'running') AND run_after <= clock_timestamp()
               AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
               AND COALESCE(enqueued_at, created_at) < clock_timestamp() - make_interval(secs => $2)
             ORDER BY enqueued_at NULLS FIRST, id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        limit,
        PATIENCE_SECONDS,
    );
    Ok(ids.fetch_all(db.pool()).await?.into_iter().map(BillingTaskId).collect())
}

/// What was asked for is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not an action of billing, or follows from payments only.
    #[error(transparent)]
    Action(#[from] NotAnAction),
    /// There is no such customer.
    #[error("there is no such customer")]
    Absent,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks for something from outside: a look at a customer, or at all. Whatever else is asked for is refused, and the refusal is
/// written down.
pub async fn request(
    db: &Db,
    customer: CustomerId,
    action: &str,
    by: By<'_>,
) -> Result<Option<Dispatch<BillingTaskId>>, Refused> {
    let mut tx = db.pool().begin().await.map_err(StoreError::from)?;
    let there = sqlx::query_scalar!(r#"SELECT true AS "there!" FROM customers WHERE id = $1"#, customer.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::from)?;
    if there.is_none() {
        return Err(Refused::Absent);
    }
    let wanted = BillingAction::requested(action);
    if !matches!(wanted, Ok(BillingAction::Sync | BillingAction::Backfill)) {
        let refusal = wanted.err().unwrap_or_else(|| NotAnAction(action.to_owned()));
        let evidence = json!({ "action": refusal.0 });
        super::enforcement::record(&mut tx, customer, "rejected", &refusal.to_string(), &evidence, by.actor)
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        return Err(refusal.into());
    }
    let id = sqlx::query_scalar!(
        "INSERT INTO billing_tasks (id, action, customer_id, requested_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING RETURNING id",
        Uuid::now_v7(),
        action,
        customer.0,
        by.actor,
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(StoreError::from)?;
    tx.commit().await.map_err(StoreError::from)?;
    // One that waits already will see what this one would.
    Ok(id.map(|id| Dispatch::new(BillingTaskId(id), None)))
}

/// A task to look for events that never arrived, if that was not done for so many hours and is not waiting.
pub async fn request_backfill(db: &Db, hours: i32) -> Result<Option<Dispatch<BillingTaskId>>, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO billing_tasks (id, action, requested_by)
         SELECT $1, 'backfill', 'billing-worker' FROM billing_status s
         WHERE (s.backfilled_at IS NULL OR s.backfilled_at < clock_timestamp() - make_interval(hours => $2))
           AND NOT EXISTS (SELECT FROM billing_tasks t WHERE t.action = 'backfill' AND t.state IN ('queued', 'running'))
         RETURNING id",
        Uuid::now_v7(),
        hours,
    );
    let id = id.fetch_optional(db.pool()).await?;
    Ok(id.map(|id| Dispatch::new(BillingTaskId(id), None)))
}

/// A task for every customer who is known at Stripe.
pub async fn look_at_all(db: &Db, livemode: bool) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO billing_tasks (id, action, customer_id, requested_by)
         SELECT gen_random_uuid(), 'sync', customer_id, 'billing-worker' FROM stripe_customers
         WHERE livemode = $1 AND deleted_at IS NULL
         ON CONFLICT DO NOTHING",
        livemode
    );
    Ok(done.execute(db.pool()).await?.rows_affected())
}

/// A task for everybody whose change of a subscription was to be over by now, and is not.
pub async fn overdue_amendments(db: &Db) -> Result<Vec<Dispatch<BillingTaskId>>, StoreError> {
    let ids = sqlx::query_scalar!(
        "INSERT INTO billing_tasks (id, action, customer_id, requested_by)
         SELECT gen_random_uuid(), 'sync', c.customer_id, 'billing-worker' FROM checkouts c
         WHERE c.ended_at IS NULL AND c.kind = 'amend' AND c.expires_at < clock_timestamp()
         ON CONFLICT DO NOTHING RETURNING id",
    );
    let ids = ids.fetch_all(db.pool()).await?;
    Ok(ids.into_iter().map(|id| Dispatch::new(BillingTaskId(id), None)).collect())
}

/// Up to `limit` customers whose time to be looked at has come, each with a task from here on.
pub async fn due_customers(db: &Db, limit: i64) -> Result<Vec<Dispatch<BillingTaskId>>, StoreError> {
    let ids = sqlx::query_scalar!(
        "INSERT INTO billing_tasks (id, action, customer_id, requested_by)
         SELECT gen_random_uuid(), 'sync', s.customer_id, 'billing-worker'
         FROM billing_enforcement_states s
         WHERE s.look_again_at <= clock_timestamp() + COALESCE((
                   SELECT max(c.ahead_by) FROM stripe_customers c WHERE c.customer_id = s.customer_id AND c.deleted_at IS NULL
               ), '0')
           AND NOT EXISTS (SELECT FROM billing_tasks t WHERE t.customer_id = s.customer_id
                           AND t.state IN ('queued', 'running') AND t.action = 'sync')
         ORDER BY s.look_again_at LIMIT $1
         ON CONFLICT DO NOTHING RETURNING id",
        limit,
    );
    let ids = ids.fetch_all(db.pool()).await?;
    Ok(ids.into_iter().map(|id| Dispatch::new(BillingTaskId(id), None)).collect())
}
