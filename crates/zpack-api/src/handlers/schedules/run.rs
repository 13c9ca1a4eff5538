//! `POST /api/instances/{id}/schedules/{schedule}/run`.

use axum::{Extension, Json, extract::State};
use domain::schedule::Schedule;
use store::schedules::By;

use super::allow;
use crate::{
    app::App,
    auth::{Owned, Schedules},
    http::RequestId,
    problem::Problem,
    schedules,
    view::ScheduleRunView,
};

/// Carries a schedule out at once, enabled or not, and answers with what became of it. Its timetable stays as it is.
#[utoipa::path(
    post, path = "/instances/{id}/schedules/{schedule}/run", tag = "schedules", operation_id = "runSchedule",
    params(("id" = Uuid, Path), ("schedule" = Uuid, Path)),
    responses((status = 200, body = ScheduleRunView)),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn run(
    State(app): State<App>,
    Owned { it, caller }: Owned<Schedule, Schedules>,
    Extension(request_id): Extension<RequestId>,
) -> Result<Json<ScheduleRunView>, Problem> {
    allow(&caller, it.plan.action)?;
    let by = By { actor: &caller.actor(), request_id: Some(&request_id.0) };
    let due = store::schedules::begin_now(&app.db, &it, by, app.clock.now()).await?;
    let id = due.run;
    // In a task of its own: a client that goes away does not leave half of it.
    let worker = app.schedule_runner.clone();
    let ended = tokio::spawn(async move { schedules::carry_out(&worker, due).await }).await;
    ended.map_err(|error| Problem::internal(&error))?;
    let run = store::schedules::run(&app.db, &it, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(run.into()))
}
