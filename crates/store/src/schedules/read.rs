//! Reading schedules.

use domain::{
    ids::{CustomerId, InstanceId, ScheduleId},
    schedule::Schedule,
};
use uuid::Uuid;

use super::ScheduleRow;
use crate::{Db, Page, StoreError};

/// A schedule of one of the customer's instances. Somebody else's and another instance's are `None`.
pub async fn get(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    id: ScheduleId,
) -> Result<Option<Schedule>, StoreError> {
    let row = sqlx::query_as!(
        ScheduleRow,
        "SELECT s.id, s.instance_id, s.customer_id, s.name, s.cron, s.time_zone, s.action, s.command, s.enabled,
                s.next_run_at, s.row_version, s.created_at, s.updated_at
         FROM schedules s JOIN instances i ON i.id = s.instance_id
         WHERE s.customer_id = $1 AND s.instance_id = $2 AND s.id = $3 AND i.lifecycle <> 'deleted'",
        customer.0,
        instance.0,
        id.0,
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(Schedule::try_from).transpose()
}

/// An instance's schedules, newest first, and where the next page begins.
pub async fn list(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    page: Page,
) -> Result<(Vec<Schedule>, Option<Uuid>), StoreError> {
    let rows = sqlx::query_as!(
        ScheduleRow,
        "SELECT id, instance_id, customer_id, name, cron, time_zone, action, command, enabled, next_run_at,
                row_version, created_at, updated_at
         FROM schedules WHERE customer_id = $1 AND instance_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
        customer.0,
        instance.0,
        page.before(),
        page.fetch(),
    )
    .fetch_all(db.pool())
    .await?;
    let schedules = rows.into_iter().map(Schedule::try_from).collect::<Result<_, _>>()?;
    Ok(page.cut(schedules, |schedule: &Schedule| schedule.id.0))
}
