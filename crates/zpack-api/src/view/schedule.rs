//! Schedules and their runs as their owner sees them.

use chrono::{DateTime, Utc};
use domain::schedule::{RunOrigin, RunState, Schedule, ScheduleAction, ScheduleRun};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ReasonView, schema};

/// Something that is done to a server at set times.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleView {
    /// Its id.
    pub id: Uuid,
    /// To which server.
    pub instance_id: Uuid,
    /// What the customer calls it.
    pub name: String,
    /// Five cron fields (minute, hour, day of month, month, day of week) or a macro such as `@daily`.
    pub cron: String,
    /// IANA name of the zone whose clock is meant.
    pub time_zone: String,
    /// What is done.
    #[schema(schema_with = schema::schedule_action)]
    pub action: ScheduleAction,
    /// The line for the console; only with the action `command`.
    #[schema(required)]
    pub command: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
    /// The next time; null while it is disabled, or when there is no further one.
    #[schema(required)]
    pub next_run_at: Option<DateTime<Utc>>,
    /// Increases with every edit; the `ETag`, without its quotes.
    pub row_version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

impl From<Schedule> for ScheduleView {
    fn from(it: Schedule) -> Self {
        Self {
            id: it.id.0,
            instance_id: it.instance_id.0,
            cron: it.plan.timetable.cron().to_owned(),
            time_zone: it.plan.timetable.zone().to_owned(),
            name: it.plan.name,
            action: it.plan.action,
            command: it.plan.command,
            enabled: it.plan.enabled,
            next_run_at: it.next_run_at,
            row_version: it.row_version,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// One time of a schedule, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleRun)]
pub struct ScheduleRunView {
    /// Its id.
    pub id: Uuid,
    /// The time that was meant.
    pub planned_for: DateTime<Utc>,
    /// What began it.
    #[schema(schema_with = schema::run_origin)]
    pub origin: RunOrigin,
    /// Where it stands. A backup has succeeded once it was asked for: its operation says how it ended.
    #[schema(schema_with = schema::run_state)]
    pub state: RunState,
    /// Why it failed or was skipped, for example `busy`, `on_hold` or `missed`.
    #[schema(required)]
    pub reason: Option<ReasonView>,
    /// The operation that it asked for.
    #[schema(required)]
    pub operation_id: Option<Uuid>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[schema(required)]
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<ScheduleRun> for ScheduleRunView {
    fn from(it: ScheduleRun) -> Self {
        Self {
            id: it.id,
            planned_for: it.planned_for,
            origin: it.origin,
            state: it.state,
            reason: it.reason.map(Into::into),
            operation_id: it.operation_id.map(|id| id.0),
            started_at: it.started_at,
            finished_at: it.finished_at,
        }
    }
}

/// When a timetable's next times are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Timetable)]
pub struct TimetableView {
    /// The next times, soonest first; fewer than five when there are no more.
    pub next_run_at: Vec<DateTime<Utc>>,
}
