//! What the queue may have lost: committed work that nobody has claimed.

use domain::ids::OperationId;

use crate::{Db, StoreError, queue::Backlog};

/// Seconds that a worker has to claim a row whose job was enqueued, before the job is enqueued again.
const PATIENCE_SECONDS: f64 = 2.0;

/// How much waits.
pub async fn backlog(db: &Db) -> Result<Backlog, StoreError> {
    let backlog = sqlx::query_as!(
        Backlog,
        r#"SELECT count(*) FILTER (WHERE state <> 'stuck') AS "due!",
                  COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(run_after) FILTER (WHERE state <> 'stuck')), 0)
                      ::float8 AS "oldest_seconds!",
                  count(*) FILTER (WHERE state = 'stuck') AS "stuck!"
           FROM operations
           WHERE state = 'stuck' OR (state IN ('queued', 'running', 'undoing') AND run_after <= clock_timestamp()
                 AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp()))"#
    )
    .fetch_one(db.pool())
    .await?;
    Ok(backlog)
}

/// Up to `limit` operations whose jobs are to be enqueued again, those longest ago first; marks them as enqueued. Two
/// sweepers get different ones.
pub async fn take_unclaimed(db: &Db, limit: i64) -> Result<Vec<OperationId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "UPDATE operations SET enqueued_at = clock_timestamp() WHERE id IN (
             SELECT id FROM operations
             WHERE state IN ('queued', 'running', 'undoing') AND run_after <= clock_timestamp()
               AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
               AND COALESCE(enqueued_at, run_after) < clock_timestamp() - make_interval(secs => $2)
             ORDER BY enqueued_at NULLS FIRST, id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        limit,
        PATIENCE_SECONDS,
    )
    .fetch_all(db.pool())
    .await?;
    Ok(ids.into_iter().map(OperationId).collect())
}
