//! Stripe's events: kept as they came, and what became of each.

use chrono::{DateTime, Utc};
use domain::ids::BillingTaskId;
use uuid::Uuid;

use crate::{Db, StoreError, queue::Dispatch};

/// An event as it came.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// Stripe's id of it.
    pub id: &'a str,
    /// Such as `invoice.paid`.
    pub kind: &'a str,
    /// Which version of the API wrote it.
    pub api_version: Option<&'a str>,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The customer at Stripe, if it says whose it is.
    pub stripe_customer: Option<&'a str>,
    /// What it is about, if that has an id.
    pub object_id: Option<&'a str>,
    /// All of it.
    pub payload: &'a serde_json::Value,
    /// When it happened, by Stripe's clock.
    pub created_at: DateTime<Utc>,
    /// `webhook`, or `backfill` if it never arrived.
    pub source: &'static str,
    /// It is kept, and nothing follows from it: another account's, or not of our key's mode.
    pub ignored: bool,
}

/// Whether an event is new.
#[derive(Debug)]
pub enum Intake {
    /// It is kept, and a worker is to be told.
    New(Dispatch<BillingTaskId>),
    /// It is kept, and nothing follows.
    Ignored,
    /// It was there. Whether it was processed is the task's.
    Known,
}

/// Keeps an event and the task to process it, in one transaction. One that is there already is not kept again.
pub async fn accept(db: &Db, event: &NewEvent<'_>, by: &str) -> Result<Intake, StoreError> {
    let task = Uuid::now_v7();
    // One statement is one transaction and one round trip.
    let new = sqlx::query!(
        r#"WITH kept AS (
               INSERT INTO stripe_events (id, type, api_version, livemode, stripe_customer, object_id, payload, source, created_at,
                   processed_at, outcome)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $12 THEN clock_timestamp() END,
                   CASE WHEN $12 THEN 'ignored' END)
               ON CONFLICT (id) DO NOTHING RETURNING id
           ), asked AS (
               INSERT INTO billing_tasks (id, action, event_id, requested_by) SELECT $10, 'sync', id, $11 FROM kept WHERE NOT $12
               RETURNING id
           )
           SELECT (SELECT id FROM asked) AS task, EXISTS (SELECT FROM kept) AS "kept!""#,
        event.id,
        event.kind,
        event.api_version,
        event.livemode,
        event.stripe_customer,
        event.object_id,
        event.payload,
        event.source,
        event.created_at,
        task,
        by,
        event.ignored,
    )
    .fetch_one(db.pool())
    .await?;
    Ok(match (new.task, new.kept) {
        (Some(id), _) => Intake::New(Dispatch::new(BillingTaskId(id), None)),
        (None, true) => Intake::Ignored,
        (None, false) => Intake::Known,
    })
}

/// An event that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// All of it.
    pub payload: serde_json::Value,
    /// What became of it, once something did.
    pub outcome: Option<String>,
}

/// An event.
pub async fn kept(db: &Db, id: &str) -> Result<Option<Kept>, StoreError> {
    let kept = sqlx::query_as!(Kept, "SELECT payload, outcome FROM stripe_events WHERE id = $1", id);
    Ok(kept.fetch_optional(db.pool()).await?)
}

/// Those of these ids that are not kept.
pub async fn unknown(db: &Db, ids: &[String]) -> Result<Vec<String>, StoreError> {
    let unknown = sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM unnest($1::text[]) AS given (id)
           WHERE NOT EXISTS (SELECT FROM stripe_events e WHERE e.id = given.id)"#,
        ids
    );
    Ok(unknown.fetch_all(db.pool()).await?)
}

/// How it goes with Stripe's events.
#[derive(Clone, Debug)]
pub struct Status {
    /// When events that never arrived were looked for last.
    pub backfilled_at: Option<DateTime<Utc>>,
    /// How many were found then.
    pub backfill_found: Option<i32>,
    /// What is wrong with the webhook endpoint at Stripe.
    pub endpoint_problem: Option<String>,
}

/// How it goes with Stripe's events.
pub async fn status(db: &Db) -> Result<Status, StoreError> {
    let status =
        sqlx::query_as!(Status, "SELECT backfilled_at, backfill_found, endpoint_problem FROM billing_status");
    Ok(status.fetch_one(db.pool()).await?)
}

/// Notes that events that never arrived were looked for. `true` if the endpoint's problem is news.
pub async fn backfilled(db: &Db, found: usize, endpoint_problem: Option<&str>) -> Result<bool, StoreError> {
    let before = sqlx::query_scalar!(
        "WITH before AS (SELECT endpoint_problem FROM billing_status)
         UPDATE billing_status SET backfilled_at = clock_timestamp(), backfill_found = $1, endpoint_problem = $2
         FROM before RETURNING before.endpoint_problem",
        i32::try_from(found).unwrap_or(i32::MAX),
        endpoint_problem,
    )
    .fetch_one(db.pool())
    .await?;
    Ok(endpoint_problem.is_some() && before.as_deref() != endpoint_problem)
}

/// What follows from an event was done: `done`, `ignored` or `unresolved`.
pub async fn settle(db: &Db, id: &str, outcome: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE stripe_events SET processed_at = clock_timestamp(), outcome = $2 WHERE id = $1 AND processed_at IS NULL",
        id,
        outcome,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// How many events wait to be processed, and the age of the oldest in seconds.
pub async fn unprocessed(db: &Db) -> Result<(i64, f64), StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(received_at)), 0)::float8 AS "age!"
           FROM stripe_events WHERE processed_at IS NULL"#
    )
    .fetch_one(db.pool())
    .await?;
    Ok((row.count, row.age))
}
