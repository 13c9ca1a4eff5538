//! `POST /api/instances/{id}/schedules/{schedule}/run`.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use domain::{clock::Clock, schedule::Schedule};
use store::{Db, schedules::By};

use super::allow;
use crate::{
    auth::{Owned, Schedules},
    problem::Problem,
    request_id::RequestId,
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
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    State(schedule_runner): State<schedules::Runner>,
    Owned { it, caller }: Owned<Schedule, Schedules>,
    Extension(request_id): Extension<RequestId>,
) -> Result<Json<ScheduleRunView>, Problem> {
    allow(&caller, it.plan.action)?;
    let by = By { actor: &caller.actor(), request_id: Some(&request_id.0) };
    let due = store::schedules::begin_now(&db, &it, by, clock.now()).await?;
    let id = due.run;
    // In a task of its own: a client that goes away does not leave half of it.
    let worker = schedule_runner.clone();
    let ended = tokio::spawn(async move { schedules::carry_out(&worker, due).await }).await;
    ended.map_err(|error| Problem::internal(&error))?;
    let run = store::schedules::run(&db, &it, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(run.into()))
}
