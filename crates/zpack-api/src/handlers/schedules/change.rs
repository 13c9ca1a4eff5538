//! `PATCH` and `DELETE /api/instances/{id}/schedules/{schedule}`.

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use domain::schedule::{
    MAX_COMMAND_BYTES, MAX_CRON_CHARS, MAX_NAME_CHARS, MAX_ZONE_CHARS, Schedule, ScheduleAction,
    ScheduleError, SchedulePlan, Timetable,
};
use garde::Validate;
use serde::Deserialize;
use store::{
    Db,
    schedules::{By, Edited},
};
use utoipa::ToSchema;

use super::{allow, refused};
use crate::{
    app::Work,
    auth::{Owned, Schedules},
    config::SchedulesSection,
    extract::{Etag, IfMatch, ValidJson},
    problem::{Code, Problem},
    request_id::RequestId,
    view::{ScheduleView, schedule_action},
};

/// What is to be changed; what is not there stays.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditSchedule {
    /// What it is called.
    #[garde(length(chars, min = 1, max = MAX_NAME_CHARS))]
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Five cron fields or a macro such as `@daily`.
    #[garde(length(chars, min = 1, max = MAX_CRON_CHARS))]
    #[schema(min_length = 1, max_length = 100)]
    cron: Option<String>,
    /// IANA name of the zone whose clock is meant.
    #[garde(length(chars, min = 1, max = MAX_ZONE_CHARS))]
    #[schema(min_length = 1, max_length = 64)]
    time_zone: Option<String>,
    /// What is done. With another action than `command`, the line for the console goes.
    #[garde(skip)]
    #[schema(schema_with = schedule_action)]
    action: Option<ScheduleAction>,
    /// The line for the console; only with the action `command`.
    #[garde(length(bytes, max = MAX_COMMAND_BYTES))]
    #[schema(max_length = 1024)]
    command: Option<String>,
    /// Whether it runs.
    #[garde(skip)]
    enabled: Option<bool>,
}

impl EditSchedule {
    /// The plan with these changes.
    fn applied_to(&self, before: &SchedulePlan) -> Result<SchedulePlan, ScheduleError> {
        let action = self.action.unwrap_or(before.action);
        let kept = before.command.clone().filter(|_| action == ScheduleAction::Command);
        let cron = self.cron.as_deref().unwrap_or(before.timetable.cron());
        let zone = self.time_zone.as_deref().unwrap_or(before.timetable.zone());
        Ok(SchedulePlan {
            name: self.name.clone().unwrap_or_else(|| before.name.clone()),
            timetable: Timetable::parse(cron, zone)?,
            action,
            command: self.command.clone().or(kept),
            enabled: self.enabled.unwrap_or(before.enabled),
        })
    }
}

/// Changes a schedule, unless somebody else edited it since it was read.
#[utoipa::path(
    patch, path = "/instances/{id}/schedules/{schedule}", tag = "schedules", operation_id = "updateSchedule",
    params(("id" = Uuid, Path), ("schedule" = Uuid, Path), ("If-Match" = String, Header, description = "The `ETag` that was read; `*` for whichever it is.")),
    request_body = EditSchedule,
    responses((status = 200, body = ScheduleView, headers(("etag" = String)))),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn edit(
    State(work): State<Work>,
    State(bounds): State<SchedulesSection>,
    Owned { mut it, caller }: Owned<Schedule, Schedules>,
    Extension(request_id): Extension<RequestId>,
    wanted: IfMatch,
    ValidJson(body): ValidJson<EditSchedule>,
) -> Result<impl IntoResponse, Problem> {
    let (actor, owner) = (caller.actor(), caller.customer.id);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    loop {
        // Both what it does and what it would do: a key must not set the time of what it could not do itself.
        allow(&caller, it.plan.action)?;
        allow(&caller, body.action.unwrap_or(it.plan.action))?;
        match edit_once(&work, &bounds, &it, &body, wanted, by).await? {
            Edited::Done(edited) => return Ok((Etag(edited.row_version), Json(ScheduleView::from(*edited)))),
            Edited::Absent => return Err(Problem::not_found()),
            // Each further round is one that somebody else's change has won.
            Edited::VersionChanged if wanted == IfMatch::Any => {
                let again = store::schedules::get(&work.db, owner, it.instance_id, it.id).await?;
                it = again.ok_or_else(Problem::not_found)?;
            }
            Edited::VersionChanged => {
                let detail = "Nothing was changed. Read it again, then decide.";
                return Err(Problem::new(Code::VersionMismatch, detail));
            }
        }
    }
}

async fn edit_once(
    work: &Work,
    bounds: &SchedulesSection,
    it: &Schedule,
    body: &EditSchedule,
    wanted: IfMatch,
    by: By<'_>,
) -> Result<Edited, Problem> {
    let now = work.clock.now();
    let plan = body.applied_to(&it.plan).map_err(|why| refused(&why))?;
    plan.check(now, bounds.spacing()).map_err(|why| refused(&why))?;
    // What was read here is what the changes are made to, so no other version will do.
    if wanted != IfMatch::Any && wanted != IfMatch::Version(it.row_version) {
        return Ok(Edited::VersionChanged);
    }
    Ok(store::schedules::edit(&work.db, it, &plan, it.row_version, by, now).await?)
}

/// Removes a schedule with its history. A run that is under way is not stopped by it. As with every change, an API key
/// needs the scope of the action too.
#[utoipa::path(
    delete, path = "/instances/{id}/schedules/{schedule}", tag = "schedules", operation_id = "deleteSchedule",
    params(("id" = Uuid, Path), ("schedule" = Uuid, Path)),
    responses((status = 204, description = "Removed")),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn delete(
    State(db): State<Db>,
    schedule: Owned<Schedule, Schedules>,
    Extension(request_id): Extension<RequestId>,
) -> Result<StatusCode, Problem> {
    allow(&schedule.caller, schedule.it.plan.action)?;
    let by = By { actor: &schedule.caller.actor(), request_id: Some(&request_id.0) };
    let deleted = store::schedules::delete(&db, &schedule.it, by).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
