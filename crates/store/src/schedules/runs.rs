//! What became of each time.

use chrono::{DateTime, Utc};
use domain::{
    ids::{CustomerId, InstanceId, OperationId, ScheduleId},
    schedule::{KEPT_RUNS, RunOutcome, RunReason, Schedule, ScheduleRun},
    text::foreign,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{By, DueRun, change::entry};
use crate::{
    Db, Page, StoreError,
    audit::{self, Entry},
};

struct RunRow {
    id: Uuid,
    schedule_id: Uuid,
    planned_for: DateTime<Utc>,
    origin: String,
    state: String,
    reason_code: Option<String>,
    reason: Option<String>,
    operation_id: Option<Uuid>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<RunRow> for ScheduleRun {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("schedule_runs", e);
        let code = row.reason_code.map(|code| code.parse().map_err(corrupt)).transpose()?;
        Ok(Self {
            id: row.id,
            schedule_id: ScheduleId(row.schedule_id),
            planned_for: row.planned_for,
            origin: row.origin.parse().map_err(corrupt)?,
            state: row.state.parse().map_err(corrupt)?,
            reason: code.zip(row.reason),
            operation_id: row.operation_id.map(OperationId),
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// A schedule's runs, newest first, and where the next page begins.
pub async fn runs(
    db: &Db,
    schedule: &Schedule,
    page: Page,
) -> Result<(Vec<ScheduleRun>, Option<Uuid>), StoreError> {
    let rows = sqlx::query_as!(
        RunRow,
        "SELECT id, schedule_id, planned_for, origin, state, reason_code, reason, operation_id, started_at, finished_at
         FROM schedule_runs WHERE schedule_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        schedule.id.0,
        page.before(),
        page.fetch(),
    )
    .fetch_all(db.pool())
    .await?;
    let runs = rows.into_iter().map(ScheduleRun::try_from).collect::<Result<_, _>>()?;
    Ok(page.cut(runs, |run: &ScheduleRun| run.id))
}

/// One of a schedule's runs.
pub async fn run(db: &Db, schedule: &Schedule, id: Uuid) -> Result<Option<ScheduleRun>, StoreError> {
    let row = sqlx::query_as!(
        RunRow,
        "SELECT id, schedule_id, planned_for, origin, state, reason_code, reason, operation_id, started_at, finished_at
         FROM schedule_runs WHERE schedule_id = $1 AND id = $2",
        schedule.id.0,
        id,
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(ScheduleRun::try_from).transpose()
}

/// Records how a run ended, with its audit row. Nothing if it was taken for interrupted meanwhile, or its schedule is
/// gone.
pub async fn finish(
    db: &Db,
    due: &DueRun,
    outcome: &RunOutcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    record_outcome(&mut tx, due, outcome, now).await?;
    tx.commit().await?;
    Ok(())
}

/// As [`finish`], within a transaction. What is older than the newest [`KEPT_RUNS`] goes.
pub(super) async fn record_outcome(
    tx: &mut PgConnection,
    due: &DueRun,
    outcome: &RunOutcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (reason, operation) = match outcome {
        RunOutcome::Done(operation) => (None, *operation),
        RunOutcome::Not(code, text) => (Some((*code, text.as_str())), None),
    };
    let ended = sqlx::query!(
        "UPDATE schedule_runs SET state = $2, reason_code = $3, reason = $4, operation_id = $5, finished_at = $6
         WHERE id = $1 AND state = 'running'",
        due.run,
        outcome.state().as_str(),
        reason.map(|(code, _)| code.as_str()),
        reason.map(|(_, text)| foreign(text)),
        operation.map(|operation| operation.0),
        now,
    )
    .execute(&mut *tx)
    .await?;
    let schedule = &due.schedule;
    sqlx::query!(
        "DELETE FROM schedule_runs WHERE schedule_id = $1 AND state <> 'running' AND id <=
             (SELECT id FROM schedule_runs WHERE schedule_id = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)",
        schedule.id.0,
        KEPT_RUNS,
    )
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(());
    }
    let detail = json!({
        "run": due.run,
        "planned_for": due.planned_for,
        "action": schedule.plan.action,
        "state": outcome.state(),
        "reason": reason.map(|(code, _)| code),
        "operation": operation,
    });
    let actor = audit::schedule(schedule.id);
    audit::record(tx, entry(By::itself(&actor), "schedule.run", schedule, detail)).await
}

/// Marks the runs that began before this time and never ended: whoever carried them out is gone. Returns how many.
pub async fn interrupt(db: &Db, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let mut tx = db.pool().begin().await?;
    let rows = sqlx::query!(
        "WITH ended AS (
             UPDATE schedule_runs SET state = 'failed', reason_code = $3, finished_at = $2,
                    reason = 'The control plane ended in the middle of it: whether it was done is not known.'
             WHERE state = 'running' AND started_at < $1 RETURNING id, schedule_id, planned_for
         )
         SELECT e.id AS run, e.planned_for, s.id, s.customer_id, s.instance_id, s.action
         FROM ended e JOIN schedules s ON s.id = e.schedule_id",
        before,
        now,
        RunReason::Interrupted.as_str(),
    )
    .fetch_all(&mut *tx)
    .await?;
    let actors: Vec<_> = rows.iter().map(|row| audit::schedule(ScheduleId(row.id))).collect();
    let entries = rows.iter().zip(&actors).map(|(row, actor)| {
        let detail = json!({
            "schedule": row.id,
            "run": row.run,
            "planned_for": row.planned_for,
            "action": row.action,
            "state": "failed",
            "reason": RunReason::Interrupted,
        });
        let customer = CustomerId(row.customer_id);
        Entry::new(By::itself(actor), "schedule.run", customer, detail).on(InstanceId(row.instance_id))
    });
    audit::record_all(&mut tx, &entries.collect::<Vec<_>>()).await?;
    tx.commit().await?;
    Ok(rows.len())
}
