//! `POST /api/instances/{id}/schedules`.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use domain::{
    clock::Clock,
    ids::ScheduleId,
    instance::Instance,
    schedule::{
        MAX_COMMAND_BYTES, MAX_CRON_CHARS, MAX_NAME_CHARS, MAX_ZONE_CHARS, ScheduleAction, SchedulePlan,
        Timetable,
    },
};
use garde::Validate;
use serde::Deserialize;
use store::{
    Db,
    schedules::{By, NewSchedule},
};
use utoipa::ToSchema;

use super::{allow, refused};
use crate::{
    auth::{Credential, Owned, Schedules},
    config::SchedulesSection,
    extract::{Etag, ValidJson},
    problem::Problem,
    request_id::RequestId,
    view::{ScheduleView, schedule_action},
};

/// A schedule to be made.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSchedule {
    /// What it is called.
    #[garde(length(chars, min = 1, max = MAX_NAME_CHARS))]
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Five cron fields (minute, hour, day of month, month, day of week) or a macro such as `@daily`.
    #[garde(length(chars, min = 1, max = MAX_CRON_CHARS))]
    #[schema(min_length = 1, max_length = 100, example = "0 4 * * *")]
    cron: String,
    /// IANA name of the zone whose clock is meant. A time that a change-over skips runs at the next minute there is;
    /// one that it repeats runs once.
    #[garde(length(chars, min = 1, max = MAX_ZONE_CHARS))]
    #[schema(min_length = 1, max_length = 64, example = "Europe/Berlin")]
    time_zone: String,
    /// What is done. An API key needs the scope for it too: `instances:power`, `instances:console` or `backups`.
    #[garde(skip)]
    #[schema(schema_with = schedule_action)]
    action: ScheduleAction,
    /// The line for the console; only with the action `command`, and always with it.
    #[garde(length(bytes, max = MAX_COMMAND_BYTES))]
    #[serde(default)]
    #[schema(max_length = 1024)]
    command: Option<String>,
    /// Whether it runs; true unless told.
    #[garde(skip)]
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// Makes a schedule for a server.
#[utoipa::path(
    post, path = "/instances/{id}/schedules", tag = "schedules", operation_id = "createSchedule",
    params(("id" = Uuid, Path)),
    request_body = CreateSchedule,
    responses((status = 201, body = ScheduleView, headers(("etag" = String), ("location" = String)))),
    security(("session" = []), ("api_key" = ["schedules"]))
)]
pub async fn create(
    State(clock): State<Arc<dyn Clock>>,
    State(schedules): State<SchedulesSection>,
    State(db): State<Db>,
    Owned { it, caller }: Owned<Instance, Schedules>,
    Extension(request_id): Extension<RequestId>,
    ValidJson(body): ValidJson<CreateSchedule>,
) -> Result<impl IntoResponse, Problem> {
    allow(&caller, body.action)?;
    let now = clock.now();
    let plan = body.plan().and_then(|plan| plan.check(now, schedules.spacing()).map(|()| plan));
    let plan = plan.map_err(|why| refused(&why))?;
    let (id, actor) = (ScheduleId::generate(), caller.actor());
    let api_key_id = match &caller.credential {
        Credential::Key(key) => Some(key.id),
        Credential::Session(_) | Credential::View(_) => None,
    };
    let new = NewSchedule { id, customer_id: caller.customer.id, instance_id: it.id, plan, api_key_id };
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let most = schedules.max_per_instance.into();
    let made = store::schedules::create(&db, &new, most, by, now).await?;
    let location = [(header::LOCATION, format!("/api/instances/{}/schedules/{id}", it.id))];
    Ok((StatusCode::CREATED, location, Etag(made.row_version), Json(ScheduleView::from(made))))
}

impl CreateSchedule {
    fn plan(self) -> Result<SchedulePlan, domain::schedule::ScheduleError> {
        let timetable = Timetable::parse(&self.cron, &self.time_zone)?;
        let Self { name, action, command, enabled, .. } = self;
        Ok(SchedulePlan { name, timetable, action, command, enabled })
    }
}
