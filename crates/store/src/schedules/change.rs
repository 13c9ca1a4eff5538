//! Making, editing and removing schedules.

use chrono::{DateTime, Utc};
use domain::{
    ids::{ApiKeyId, CustomerId, InstanceId, ScheduleId},
    schedule::{Schedule, SchedulePlan},
};
use serde_json::json;
use sqlx::PgConnection;

use super::{By, ScheduleRow};
use crate::{
    Db, StoreError,
    audit::{self, Entry},
};

/// A schedule to be made.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// Chosen by the caller.
    pub id: ScheduleId,
    /// Whose.
    pub customer_id: CustomerId,
    /// For which instance.
    pub instance_id: InstanceId,
    /// What, and when; checked.
    pub plan: SchedulePlan,
    /// The API key that makes it, if it is one: it ends with the key.
    pub api_key_id: Option<ApiKeyId>,
}

/// Why a schedule was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateScheduleError {
    /// The instance has as many as it may.
    #[error("a server has at most {0} schedules")]
    TooMany(i64),
    /// There is no such instance, or it is being deleted.
    #[error("there is no such server")]
    NoInstance,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CreateScheduleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Makes a schedule, if the instance has fewer than `most`.
pub async fn create(
    db: &Db,
    new: &NewSchedule,
    most: i64,
    by: By<'_>,
    now: DateTime<Utc>,
) -> Result<Schedule, CreateScheduleError> {
    let mut tx = db.pool().begin().await?;
    lock_instance(&mut tx, new).await?.ok_or(CreateScheduleError::NoInstance)?;
    // A statement of its own: what others committed while the lock was waited for is in its snapshot.
    let others = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM schedules WHERE instance_id = $1"#,
        new.instance_id.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    if others >= most {
        return Err(CreateScheduleError::TooMany(most));
    }
    let schedule = insert(&mut tx, new, now).await?;
    audit::record(&mut tx, entry(by, "schedule.created", &schedule, described(&schedule.plan))).await?;
    tx.commit().await?;
    Ok(schedule)
}

async fn lock_instance(tx: &mut PgConnection, new: &NewSchedule) -> Result<Option<()>, StoreError> {
    let locked = sqlx::query!(
        "SELECT id FROM instances WHERE id = $1 AND customer_id = $2 AND lifecycle IN ('provisioning', 'active')
         FOR NO KEY UPDATE",
        new.instance_id.0,
        new.customer_id.0,
    )
    .fetch_optional(tx)
    .await?;
    Ok(locked.map(|_| ()))
}

async fn insert(
    tx: &mut PgConnection,
    new: &NewSchedule,
    now: DateTime<Utc>,
) -> Result<Schedule, StoreError> {
    let plan = &new.plan;
    let row = sqlx::query_as!(
        ScheduleRow,
        "INSERT INTO schedules (id, instance_id, customer_id, name, cron, time_zone, action, command, enabled,
                                next_run_at, created_at, updated_at, api_key_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)
         RETURNING id, instance_id, customer_id, name, cron, time_zone, action, command, enabled, next_run_at,
                   row_version, created_at, updated_at",
        new.id.0,
        new.instance_id.0,
        new.customer_id.0,
        plan.name,
        plan.timetable.cron(),
        plan.timetable.zone(),
        plan.action.as_str(),
        plan.command,
        plan.enabled,
        plan.next_run(now),
        now,
        new.api_key_id.map(|id| id.0),
    )
    .fetch_one(tx)
    .await?;
    row.try_into()
}

/// What an edit led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    /// Done; as it is now.
    Done(Box<Schedule>),
    /// Somebody changed it since that version was read.
    VersionChanged,
    /// There is no such schedule.
    Absent,
}

/// Replaces what a person decides about a schedule, if its row version is still `expected`. A time that has come and
/// was not claimed yet stays due, unless the timetable changes.
pub async fn edit(
    db: &Db,
    before: &Schedule,
    plan: &SchedulePlan,
    expected: i64,
    by: By<'_>,
    now: DateTime<Utc>,
) -> Result<Edited, StoreError> {
    let mut tx = db.pool().begin().await?;
    let row = sqlx::query_as!(
        ScheduleRow,
        "UPDATE schedules SET name = $4, cron = $5, time_zone = $6, action = $7, command = $8, enabled = $9,
                next_run_at = CASE WHEN (cron, time_zone, enabled) = ($5, $6, $9) THEN next_run_at ELSE $10 END,
                row_version = row_version + 1, updated_at = $11
         WHERE id = $2 AND customer_id = $1 AND row_version = $3
         RETURNING id, instance_id, customer_id, name, cron, time_zone, action, command, enabled, next_run_at,
                   row_version, created_at, updated_at",
        before.customer_id.0,
        before.id.0,
        expected,
        plan.name,
        plan.timetable.cron(),
        plan.timetable.zone(),
        plan.action.as_str(),
        plan.command,
        plan.enabled,
        plan.next_run(now),
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        drop(tx);
        let there = super::get(db, before.customer_id, before.instance_id, before.id).await?;
        return Ok(if there.is_some() { Edited::VersionChanged } else { Edited::Absent });
    };
    let schedule = Schedule::try_from(row)?;
    audit::record(&mut tx, entry(by, "schedule.edited", &schedule, described(plan))).await?;
    tx.commit().await?;
    Ok(Edited::Done(Box::new(schedule)))
}

/// Removes a schedule with its history. `false` when there is none.
pub async fn delete(db: &Db, schedule: &Schedule, by: By<'_>) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let deleted = sqlx::query!(
        "DELETE FROM schedules WHERE id = $1 AND customer_id = $2",
        schedule.id.0,
        schedule.customer_id.0,
    )
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    let detail = json!({ "name": schedule.plan.name });
    audit::record(&mut tx, entry(by, "schedule.deleted", schedule, detail)).await?;
    tx.commit().await?;
    Ok(true)
}

/// Ends all schedules of an instance that is being deleted; its history stays.
pub(crate) async fn disable_all(tx: &mut PgConnection, instance: InstanceId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE schedules SET enabled = false, next_run_at = NULL, row_version = row_version + 1
         WHERE instance_id = $1 AND enabled",
        instance.0,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A row about a schedule. `detail` is an object.
pub(super) fn entry<'a>(
    by: By<'a>,
    action: &'a str,
    schedule: &Schedule,
    mut detail: serde_json::Value,
) -> Entry<'a> {
    detail["schedule"] = json!(schedule.id);
    Entry::new(by, action, schedule.customer_id, detail).on(schedule.instance_id)
}

/// A command may hold a password that is given to a game: the audit log says only that there is one.
fn described(plan: &SchedulePlan) -> serde_json::Value {
    json!({
        "name": plan.name,
        "cron": plan.timetable.cron(),
        "time_zone": plan.timetable.zone(),
        "action": plan.action,
        "enabled": plan.enabled,
    })
}
