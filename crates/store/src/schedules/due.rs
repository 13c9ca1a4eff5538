//! Schedules whose time has come: each is claimed by one daemon, once.

use chrono::{DateTime, Utc};
use domain::{
    ids::ScheduleId,
    instance::Lifecycle,
    schedule::{RunOrigin, RunOutcome, RunReason, Schedule, dues},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    By, ScheduleRow,
    change::{disable_all, entry},
    runs::record_outcome,
};
use crate::{Db, StoreError, audit};

/// A run that was begun, and that the caller carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRun {
    /// The run's id.
    pub run: Uuid,
    /// The time that was meant.
    pub planned_for: DateTime<Utc>,
    /// What is to be done, as it was when the run began.
    pub schedule: Schedule,
    /// Whether its owner's account is disabled.
    pub account_disabled: bool,
}

/// What a look at the schedules led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing is due.
    Nothing,
    /// A schedule was due, and there is nothing to carry out.
    Recorded,
    /// This is to be carried out.
    Run(Box<DueRun>),
}

struct DueRow {
    schedule: ScheduleRow,
    lifecycle: Lifecycle,
    account_disabled: bool,
}

/// When the next schedule is due.
pub async fn next_due(db: &Db) -> Result<Option<DateTime<Utc>>, StoreError> {
    let next = sqlx::query_scalar!("SELECT min(next_run_at) FROM schedules WHERE next_run_at IS NOT NULL");
    Ok(next.fetch_one(db.pool()).await?)
}

/// Disables what was planned by API keys that have run out.
async fn end_with_keys(db: &Db, now: DateTime<Utc>) -> Result<(), StoreError> {
    let ended = sqlx::query_scalar!(
        "UPDATE schedules s SET enabled = false, next_run_at = NULL, row_version = row_version + 1, updated_at = $1
         FROM api_keys k WHERE k.id = s.api_key_id AND k.expires_at <= $1 AND s.enabled RETURNING s.id",
        now,
    )
    .fetch_all(db.pool())
    .await?;
    for id in ended {
        tracing::info!(schedule = %id, "schedule {id} is disabled: the API key that made it has run out");
    }
    Ok(())
}

/// Claims the schedule that has been due for longest, unless another daemon holds it: begins its run, records a time
/// that was missed, and sets its next one.
pub async fn claim_due(db: &Db, now: DateTime<Utc>) -> Result<Claimed, StoreError> {
    end_with_keys(db, now).await?;
    let mut tx = db.pool().begin().await?;
    let Some(row) = lock_due(&mut tx, now).await? else { return Ok(Claimed::Nothing) };
    let (id, planned) = (ScheduleId(row.schedule.id), row.schedule.next_run_at.unwrap_or(now));
    let schedule = match Schedule::try_from(row.schedule) {
        Ok(schedule) => schedule,
        Err(error) => {
            // One that cannot be read must not keep all others from their time.
            tracing::error!(schedule = %id, %error, "schedule {id} cannot be read and does not run until it is edited: {error}");
            set_next(&mut tx, id, None).await?;
            tx.commit().await?;
            return Ok(Claimed::Recorded);
        }
    };
    let claimed = match row.lifecycle {
        Lifecycle::Provisioning | Lifecycle::Active => {
            begin(&mut tx, schedule, planned, row.account_disabled, now).await?
        }
        Lifecycle::Deleting | Lifecycle::Deleted | Lifecycle::Failed => {
            disable_all(&mut tx, schedule.instance_id).await?;
            Claimed::Recorded
        }
    };
    tx.commit().await?;
    Ok(claimed)
}

async fn begin(
    tx: &mut PgConnection,
    schedule: Schedule,
    planned: DateTime<Utc>,
    account_disabled: bool,
    now: DateTime<Utc>,
) -> Result<Claimed, StoreError> {
    let dues = dues(&schedule.plan.timetable, planned, now);
    set_next(tx, schedule.id, dues.next).await?;
    if let Some(missed) = dues.missed
        && let Some(run) = insert_run(tx, schedule.id, missed, RunOrigin::Timetable, now).await?
    {
        let why = "The control plane was away at this time, and for too long after it.".to_owned();
        let outcome = RunOutcome::Not(RunReason::Missed, why);
        let due = DueRun { run, planned_for: missed, schedule: schedule.clone(), account_disabled };
        record_outcome(tx, &due, &outcome, now).await?;
    }
    let Some(planned_for) = dues.run else { return Ok(Claimed::Recorded) };
    let run = insert_run(tx, schedule.id, planned_for, RunOrigin::Timetable, now).await?;
    Ok(run.map_or(Claimed::Recorded, |run| {
        Claimed::Run(Box::new(DueRun { run, planned_for, schedule, account_disabled }))
    }))
}

/// Begins a run that its owner asks for at this moment, whatever the timetable says.
pub async fn begin_now(
    db: &Db,
    schedule: &Schedule,
    by: By<'_>,
    now: DateTime<Utc>,
) -> Result<DueRun, StoreError> {
    let mut tx = db.pool().begin().await?;
    let run = insert_run(&mut tx, schedule.id, now, RunOrigin::Customer, now).await?;
    let run = run.ok_or_else(|| StoreError::corrupt("schedule_runs", "a new id is taken"))?;
    let detail = serde_json::json!({ "run": run });
    audit::record(&mut tx, entry(by, "schedule.run_asked_for", schedule, detail)).await?;
    tx.commit().await?;
    Ok(DueRun { run, planned_for: now, schedule: schedule.clone(), account_disabled: false })
}

async fn lock_due(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<DueRow>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT s.id, s.instance_id, s.customer_id, s.name, s.cron, s.time_zone, s.action, s.command, s.enabled,
                  s.next_run_at, s.row_version, s.created_at, s.updated_at, i.lifecycle,
                  c.disabled_at IS NOT NULL AS "account_disabled!"
           FROM schedules s JOIN instances i ON i.id = s.instance_id JOIN customers c ON c.id = s.customer_id
           WHERE s.next_run_at <= $1 ORDER BY s.next_run_at LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED"#,
        now,
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        Ok(DueRow {
            lifecycle: row.lifecycle.parse().map_err(|e| StoreError::corrupt("instances", e))?,
            account_disabled: row.account_disabled,
            schedule: ScheduleRow {
                id: row.id,
                instance_id: row.instance_id,
                customer_id: row.customer_id,
                name: row.name,
                cron: row.cron,
                time_zone: row.time_zone,
                action: row.action,
                command: row.command,
                enabled: row.enabled,
                next_run_at: row.next_run_at,
                row_version: row.row_version,
                created_at: row.created_at,
                updated_at: row.updated_at,
            },
        })
    })
    .transpose()
}

async fn set_next(
    tx: &mut PgConnection,
    id: ScheduleId,
    next: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE schedules SET next_run_at = $2 WHERE id = $1", id.0, next).execute(tx).await?;
    Ok(())
}

/// The new run's id; `None` if this time of the timetable has one already.
async fn insert_run(
    tx: &mut PgConnection,
    schedule: ScheduleId,
    planned_for: DateTime<Utc>,
    origin: RunOrigin,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO schedule_runs (id, schedule_id, planned_for, origin, started_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (schedule_id, planned_for) WHERE origin = 'timetable' DO NOTHING RETURNING id",
        Uuid::now_v7(),
        schedule.0,
        planned_for,
        origin.as_str(),
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(id)
}
