//! Reading schedules and what became of their times.

use axum::{Json, extract::State, response::IntoResponse};
use domain::{instance::Instance, schedule::Schedule};
use store::Db;

use crate::{
    auth::{Owned, Schedules},
    extract::{Etag, Listed, ValidQuery},
    problem::Problem,
    view::{PageView, ScheduleRunView, ScheduleView},
};

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
