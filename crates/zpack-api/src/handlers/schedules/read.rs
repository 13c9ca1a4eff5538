//! Reading schedules and what became of their times.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use domain::{
    clock::Clock,
    instance::Instance,
    schedule::{Schedule, Timetable},
};
use serde::Deserialize;
use store::Db;
use utoipa::IntoParams;

use super::refused;
use crate::{
    auth::{May, Owned, Schedules},
    config::SchedulesSection,
    extract::{Etag, Listed, ValidQuery},
    problem::Problem,
    view::{PageView, ScheduleRunView, ScheduleView, TimetableView},
};

/// How many times are shown before a schedule is made.
const SHOWN: usize = 5;

/// A server's schedules, newest first.
#[utoipa::path(
    get, path = "/instances/{id}/schedules", tag = "schedules", operation_id = "listSchedules",
    params(("id" = Uuid, Path), Listed),
    responses((status = 200, body = PageView<ScheduleView>)),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn list(
    State(db): State<Db>,
    Owned { it, caller }: Owned<Instance, Schedules>,
    ValidQuery(listed): ValidQuery<Listed>,
) -> Result<Json<PageView<ScheduleView>>, Problem> {
    let page = store::schedules::list(&db, caller.customer.id, it.id, listed.page()).await?;
    Ok(Json(PageView::of(page)))
}

/// One schedule. Its `ETag` is for `If-Match` of an edit.
#[utoipa::path(
    get, path = "/instances/{id}/schedules/{schedule}", tag = "schedules", operation_id = "getSchedule",
    params(("id" = Uuid, Path), ("schedule" = Uuid, Path)),
    responses((status = 200, body = ScheduleView, headers(("etag" = String)))),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn get(schedule: Owned<Schedule, Schedules>) -> impl IntoResponse {
    (Etag(schedule.it.row_version), Json(ScheduleView::from(schedule.it)))
}

/// What became of a schedule's times, newest first. The last hundred are kept.
#[utoipa::path(
    get, path = "/instances/{id}/schedules/{schedule}/runs", tag = "schedules", operation_id = "listScheduleRuns",
    params(("id" = Uuid, Path), ("schedule" = Uuid, Path), Listed),
    responses((status = 200, body = PageView<ScheduleRunView>)),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn runs(
    State(db): State<Db>,
    schedule: Owned<Schedule, Schedules>,
    ValidQuery(listed): ValidQuery<Listed>,
) -> Result<Json<PageView<ScheduleRunView>>, Problem> {
    Ok(Json(PageView::of(store::schedules::runs(&db, &schedule.it, listed.page()).await?)))
}

/// Times that are looked at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Times {
    /// As in a schedule.
    #[param(max_length = 100)]
    cron: String,
    /// As in a schedule.
    #[param(max_length = 64)]
    time_zone: String,
}

/// When a schedule with these times would run next, or why it could not be made: before one is made.
#[utoipa::path(
    get, path = "/schedules/timetable", tag = "schedules", operation_id = "previewTimetable",
    params(Times),
    responses((status = 200, body = TimetableView)),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn preview(
    State(clock): State<Arc<dyn Clock>>,
    State(section): State<SchedulesSection>,
    _: May<Schedules>,
    ValidQuery(times): ValidQuery<Times>,
) -> Result<Json<TimetableView>, Problem> {
    let now = clock.now();
    let timetable = Timetable::parse(&times.cron, &times.time_zone)
        .and_then(|timetable| timetable.check(now, section.spacing()).map(|()| timetable))
        .map_err(|why| refused(&why.into()))?;
    Ok(Json(TimetableView { next_run_at: timetable.after(now).take(SHOWN).collect() }))
}
