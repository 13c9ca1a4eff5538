//! Repairs: what the controller has asked for, as rows that a repair-worker leases; and what came of each, told once.

use chrono::{DateTime, Utc};
use domain::{
    drift::LEFT_AFTER,
    ids::{FindingId, InstanceId, OperationId, RepairId},
    lease::LEASE_SECONDS,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Db, StoreError, operations::held, queue::Backlog};

/// How long a repair may wait for a worker before its job is enqueued again, in seconds.
const PATIENCE_SECONDS: f64 = 2.0;

/// A repair that this process holds.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which.
    pub id: RepairId,
    /// The lease's term.
    pub term: i64,
    /// Which attempt this is, from 1 on: those count that ended without being written down, not those that were let go of.
    pub attempts: i32,
    /// Because of what.
    pub finding: FindingId,
    /// What is asked for. Text: a worker may be asked for what it does not know.
    pub action: String,
    /// Under which term of the controller.
    pub controller_term: i64,
    /// Of which server.
    pub instance: Option<InstanceId>,
    /// Of which operation.
    pub operation: Option<OperationId>,
    /// The server's hostname, for the log.
    pub hostname: Option<String>,
}

/// Whether there is such a repair.
pub async fn exists(db: &Db, id: RepairId) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM repairs WHERE id = $1) AS "there!""#, id.0);
    Ok(there.fetch_one(db.pool()).await?)
}

/// The oldest that nobody holds.
pub async fn next(db: &Db) -> Result<Option<RepairId>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM repairs WHERE state <> 'ended' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
         ORDER BY id LIMIT 1"
    );
    Ok(id.fetch_optional(db.pool()).await?.map(RepairId))
}

/// Claims it, if it has not ended and nobody holds it.
pub async fn claim(db: &Db, id: RepairId, owner: &str) -> Result<Option<Claim>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE repairs r SET state = 'running', attempts = r.attempts + 1, lease_owner = $2, lease_term = r.lease_term + 1,
                  lease_expires_at = clock_timestamp() + make_interval(secs => $3)
           FROM findings f LEFT JOIN instances i ON i.id = f.instance_id
           WHERE r.id = $1 AND f.id = r.finding_id AND r.state <> 'ended'
             AND (r.lease_expires_at IS NULL OR r.lease_expires_at < clock_timestamp())
           RETURNING r.lease_term, r.attempts, r.finding_id, r.action, r.term, f.instance_id, f.operation_id, i.hostname AS "hostname?""#,
        id.0,
        owner,
        f64::from(LEASE_SECONDS),
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(|row| Claim {
        id,
        term: row.lease_term,
        attempts: row.attempts,
        finding: FindingId(row.finding_id),
        action: row.action,
        controller_term: row.term,
        instance: row.instance_id.map(InstanceId),
        operation: row.operation_id.map(OperationId),
        hostname: row.hostname,
    }))
}

/// Extends the lease.
pub async fn renew(db: &Db, claim: &Claim) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE repairs SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        claim.id.0,
        claim.term,
        f64::from(LEASE_SECONDS),
    );
    held(done.execute(db.pool()).await?.rows_affected())
}

/// Lets go of it, so that another worker goes on at once; it does not count as an attempt.
pub async fn release(db: &Db, claim: &Claim) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE repairs SET state = 'queued', attempts = greatest(attempts - 1, 0), lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        claim.id.0,
        claim.term,
    );
    held(done.execute(db.pool()).await?.rows_affected())
}

/// How much waits.
pub async fn backlog(db: &Db) -> Result<Backlog, StoreError> {
    let backlog = sqlx::query_as!(
        Backlog,
        r#"SELECT count(*) AS "due!", COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(created_at)), 0)::float8
                      AS "oldest_seconds!", 0::bigint AS "stuck!"
           FROM repairs WHERE state <> 'ended' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())"#
    );
    Ok(backlog.fetch_one(db.pool()).await?)
}

/// Up to `limit` repairs whose jobs seem lost; marks them as enqueued.
pub async fn take_unclaimed(db: &Db, limit: i64) -> Result<Vec<RepairId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "UPDATE repairs SET enqueued_at = clock_timestamp() WHERE id IN (
             SELECT id FROM repairs
             WHERE state <> 'ended' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
               AND COALESCE(enqueued_at, created_at) < clock_timestamp() - make_interval(secs => $2)
             ORDER BY enqueued_at NULLS FIRST, id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        limit,
        PATIENCE_SECONDS,
    );
    Ok(ids.fetch_all(db.pool()).await?.into_iter().map(RepairId).collect())
}

/// How a repair ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was wrong, and is right.
    Repaired,
    /// It was right when it was looked at.
    NotNeeded,
    /// It may not be done.
    Rejected,
    /// It was tried and did not help.
    Failed,
}

impl Outcome {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::NotNeeded => "not_needed",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// What a repair did.
#[derive(Clone, Debug)]
pub struct Event {
    /// How it ended.
    pub outcome: Outcome,
    /// What was there before.
    pub before: String,
    /// What was there after.
    pub after: String,
    /// Why it ended so.
    pub reason: String,
}

/// Ends a repair with its event, in one transaction. `address` is the one under which the server was published again.
pub async fn end(
    db: &Db,
    claim: &Claim,
    event: &Event,
    by: &str,
    address: Option<&str>,
) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "UPDATE repairs SET state = 'ended', finished_at = clock_timestamp(), lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
        claim.id.0,
        claim.term,
    );
    held(done.execute(&mut *tx).await?.rows_affected())?;
    if let (Some(instance), Some(address)) = (claim.instance, address) {
        sqlx::query!(
            "UPDATE instances SET address = $2 WHERE id = $1 AND address IS DISTINCT FROM $2",
            instance.0,
            address
        )
        .execute(&mut *tx)
        .await?;
    }
    record(&mut tx, claim, event, by).await?;
    tx.commit().await?;
    // The controller closes the finding, or opens it again.
    crate::controller::ask_for_a_look(db).await
}

async fn record(tx: &mut PgConnection, claim: &Claim, event: &Event, by: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO repair_events (id, repair_id, finding_id, instance_id, action, outcome, before, after, reason, done_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        Uuid::now_v7(),
        claim.id.0,
        claim.finding.0,
        claim.instance.map(|id| id.0),
        claim.action,
        event.outcome.as_str(),
        event.before,
        event.after,
        event.reason,
        by,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes an operation from a worker whose lease ended long ago: nobody holds it, and whoever looks next goes on with it. The
/// worker's term is used up, so that it writes nothing if it comes back. Returns whether there was such a lock.
pub async fn clear_lock(db: &Db, operation: OperationId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE operations SET lease_owner = NULL, lease_expires_at = NULL, lease_term = lease_term + 1, enqueued_at = NULL,
                run_after = clock_timestamp()
         WHERE id = $1 AND state IN ('running', 'undoing') AND lease_owner IS NOT NULL
           AND lease_expires_at < clock_timestamp() - make_interval(secs => $2)",
        operation.0,
        LEFT_AFTER.as_seconds_f64(),
    );
    Ok(done.execute(db.pool()).await?.rows_affected() == 1)
}

/// Who holds an operation, for the event.
pub async fn lock_of(db: &Db, operation: OperationId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query!(
        "SELECT state, lease_owner, lease_expires_at FROM operations WHERE id = $1",
        operation.0
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(|row| match (row.lease_owner, row.lease_expires_at) {
        (Some(owner), Some(end)) => {
            format!("{}, held by {owner} until {}", row.state, end.format("%Y-%m-%dT%H:%M:%SZ"))
        }
        _ => format!("{}, held by nobody", row.state),
    }))
}

/// An event, for people.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: Uuid,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What was asked for.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// Of which server.
    pub instance: Option<InstanceId>,
    /// The server's hostname.
    pub hostname: Option<String>,
    /// What was there before.
    pub before: String,
    /// What was there after.
    pub after: String,
    /// Why it ended so.
    pub reason: String,
    /// By whom.
    pub done_by: String,
}

/// The newest events.
pub async fn events(db: &Db, limit: i64) -> Result<Vec<Listed>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT e.id, e.at, e.action, e.outcome, e.instance_id, i.hostname AS "hostname?", e.before, e.after, e.reason, e.done_by
           FROM repair_events e LEFT JOIN instances i ON i.id = e.instance_id ORDER BY e.at DESC, e.id DESC LIMIT $1"#,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    let listed = rows.into_iter().map(|row| Listed {
        id: row.id,
        at: row.at,
        action: row.action,
        outcome: row.outcome,
        instance: row.instance_id.map(InstanceId),
        hostname: row.hostname,
        before: row.before,
        after: row.after,
        reason: row.reason,
        done_by: row.done_by,
    });
    Ok(listed.collect())
}
