//! Schedules and their runs.
//!
//! Architecture invariant: a time is carried out at most once. Claiming a schedule that is due records the run and
//! moves `next_run_at` in one transaction, under the row's lock; a run that a killed daemon left behind is never tried
//! again, only marked as interrupted.

mod change;
mod due;
mod read;
mod runs;

use domain::{
    ids::ScheduleId,
    schedule::{Schedule, SchedulePlan, Timetable},
};
use uuid::Uuid;

use crate::StoreError;

pub use crate::audit::By;
pub(crate) use change::disable_all;
pub use change::{CreateScheduleError, Edited, NewSchedule, create, delete, edit};
pub use due::{Claimed, DueRun, begin_now, claim_due, next_due};
pub use read::{get, list};
pub use runs::{finish, interrupt, run, runs};

struct ScheduleRow {
    id: Uuid,
    instance_id: Uuid,
    customer_id: Uuid,
    name: String,
    cron: String,
    time_zone: String,
    action: String,
    command: Option<String>,
    enabled: bool,
    next_run_at: Option<chrono::DateTime<chrono::Utc>>,
    row_version: i64,
    created_at: chrono::DateTime<chrono::Utc>,
    updated_at: chrono::DateTime<chrono::Utc>,
}

impl TryFrom<ScheduleRow> for Schedule {
    type Error = StoreError;

    fn try_from(row: ScheduleRow) -> Result<Self, StoreError> {
        let timetable = Timetable::parse(&row.cron, &row.time_zone);
        Ok(Self {
            id: ScheduleId(row.id),
            instance_id: row.instance_id.into(),
            customer_id: row.customer_id.into(),
            plan: SchedulePlan {
                name: row.name,
                timetable: timetable.map_err(|e| StoreError::corrupt("schedules", e))?,
                action: row.action.parse().map_err(|e| StoreError::corrupt("schedules", e))?,
                command: row.command,
                enabled: row.enabled,
            },
            next_run_at: row.next_run_at,
            row_version: row.row_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
