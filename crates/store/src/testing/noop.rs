//! Rows of a daemon that does nothing: the least that a worker can lease. Their table is made by the test that uses them,
//! and so is the role; no migration knows of either.

use uuid::Uuid;

use super::TestDatabase;
use crate::{Db, StoreError, operations::held, queue::Dispatch};

/// The rights that the daemon's role has.
pub const RIGHTS: &str = "SELECT, UPDATE ON noop_jobs";

/// A row that this process holds.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Which.
    pub id: Uuid,
    /// The lease's term.
    pub term: i64,
}

/// Makes the table.
pub async fn create_table(database: &TestDatabase) {
    database
        .execute(
            "CREATE TABLE noop_jobs (id uuid PRIMARY KEY, done_by text, lease_owner text,
                 lease_term bigint NOT NULL DEFAULT 0, lease_expires_at timestamptz,
                 enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        )
        .await;
}

/// Commits a row.
pub async fn insert(owner: &Db) -> Result<Dispatch<Uuid>, StoreError> {
    let id = Uuid::now_v7();
    sqlx::query("INSERT INTO noop_jobs (id) VALUES ($1)").bind(id).execute(owner.pool()).await?;
    Ok(Dispatch::new(id, None))
}

/// Whether the row exists.
pub async fn exists(db: &Db, id: Uuid) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar("SELECT EXISTS (SELECT FROM noop_jobs WHERE id = $1)");
    Ok(there.bind(id).fetch_one(db.pool()).await?)
}

/// The one that is next: the oldest that is neither done nor held.
pub async fn next(db: &Db) -> Result<Option<Uuid>, StoreError> {
    let next = "SELECT id FROM noop_jobs WHERE done_by IS NULL
               AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp()) ORDER BY id LIMIT 1";
    Ok(sqlx::query_scalar(next).fetch_optional(db.pool()).await?)
}

/// Claims it for `seconds`, if it is neither done nor held.
pub async fn claim(db: &Db, id: Uuid, owner: &str, seconds: f64) -> Result<Option<Claim>, StoreError> {
    let term = sqlx::query_scalar(
        "UPDATE noop_jobs SET lease_owner = $2, lease_term = lease_term + 1,
             lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         WHERE id = $1 AND done_by IS NULL AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
         RETURNING lease_term",
    );
    let term = term.bind(id).bind(owner).bind(seconds).fetch_optional(db.pool()).await?;
    Ok(term.map(|term| Claim { id, term }))
}

/// Extends the lease to `seconds` from now.
pub async fn renew(db: &Db, claim: Claim, seconds: f64) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE noop_jobs SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
    );
    held(done.bind(claim.id).bind(claim.term).bind(seconds).execute(db.pool()).await?.rows_affected())
}

/// Ends it, or with `None` lets go of it.
pub async fn end(db: &Db, claim: Claim, done_by: Option<&str>) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE noop_jobs SET done_by = $3, lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND lease_owner IS NOT NULL",
    );
    held(done.bind(claim.id).bind(claim.term).bind(done_by).execute(db.pool()).await?.rows_affected())
}

/// How many wait.
pub async fn due(db: &Db) -> Result<i64, StoreError> {
    let due = "SELECT count(*) FROM noop_jobs WHERE done_by IS NULL
               AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())";
    Ok(sqlx::query_scalar(due).fetch_one(db.pool()).await?)
}

/// Those that wait, and whose job seems lost.
pub async fn take_unclaimed(db: &Db, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let taken = sqlx::query_scalar(
        "UPDATE noop_jobs SET enqueued_at = clock_timestamp() WHERE id IN (
             SELECT id FROM noop_jobs WHERE done_by IS NULL
               AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
               AND enqueued_at < clock_timestamp() - interval '2 seconds' LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id",
    );
    Ok(taken.bind(limit).fetch_all(db.pool()).await?)
}
