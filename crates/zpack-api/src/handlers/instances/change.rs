//! `PATCH` and `DELETE /api/instances/{id}`.

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use domain::{
    ids::{CustomerId, OperationId},
    instance::{Instance, Lifecycle},
    name::{NameError, check_name},
};
use garde::Validate;
use serde::Deserialize;
use store::instances::{DeleteOutcome, DeleteRequest, Renamed};
use utoipa::ToSchema;

use crate::{
    app::Work,
    auth::{Owned, WriteInstances},
    extract::{Etag, IfMatch, ValidJson},
    problem::{Code, Problem},
    request_id::RequestId,
    view::{AcceptedView, InstanceView},
};

/// What is to be changed.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditInstance {
    /// Its new name.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 48)]
    name: String,
}

/// Renames a server, unless somebody else edited it since it was read.
#[utoipa::path(
    patch, path = "/instances/{id}", tag = "instances", operation_id = "updateInstance",
    params(("id" = Uuid, Path), ("If-Match" = String, Header, description = "The `ETag` that was read; `*` for whichever it is.")),
    request_body = EditInstance,
    responses((status = 200, body = InstanceView, headers(("etag" = String)))),
    security(("session" = []), ("api_key" = ["instances:write"]))
)]
pub async fn edit(
    State(work): State<Work>,
    Owned { it, caller }: Owned<Instance, WriteInstances>,
    wanted: IfMatch,
    ValidJson(body): ValidJson<EditInstance>,
) -> Result<impl IntoResponse, Problem> {
    let refused = |why: NameError| {
        Problem::new(Code::InvalidName, format!("Nothing was changed: {why}.")).field("name", why.to_string())
    };
    check_name(&body.name).map_err(refused)?;
    let instance = rename(&work, caller.customer.id, it, &body.name, wanted).await?;
    Ok((Etag(instance.row_version), Json(InstanceView::from(instance))))
}

/// Renames the wanted version; the instance afterwards.
async fn rename(
    work: &Work,
    owner: CustomerId,
    it: Instance,
    name: &str,
    wanted: IfMatch,
) -> Result<Instance, Problem> {
    let mut version = match wanted {
        IfMatch::Any => it.row_version,
        IfMatch::Version(version) => version,
    };
    loop {
        let renamed =
            store::instances::rename(&work.db, owner, it.id, name, version, work.clock.now()).await?;
        let now = store::instances::get(&work.db, owner, it.id).await?.ok_or_else(Problem::not_found)?;
        let refused = match renamed {
            Renamed::Done(_) => return Ok(now),
            Renamed::Absent => return Err(Problem::not_found()),
            Renamed::NameTaken => (Code::NameTaken, "Nothing was changed. Choose another name."),
            Renamed::VersionChanged if matches!(now.lifecycle, Lifecycle::Deleting | Lifecycle::Deleted) => {
                (Code::InstanceNotActive, "Nothing was changed: the server is being deleted.")
            }
            // Each further round is one that somebody else's change has won.
            Renamed::VersionChanged if wanted == IfMatch::Any => {
                version = now.row_version;
                continue;
            }
            Renamed::VersionChanged => {
                (Code::VersionMismatch, "Nothing was changed. Read it again, then decide.")
            }
        };
        return Err(Problem::new(refused.0, refused.1));
    }
}

/// Deletes a server with all its data. Asking again while it is being deleted answers with the same operation.
#[utoipa::path(
    delete, path = "/instances/{id}", tag = "instances", operation_id = "deleteInstance",
    params(("id" = Uuid, Path)),
    responses((status = 202, body = AcceptedView, headers(("location" = String, description = "The operation")))),
    security(("session" = []), ("api_key" = ["instances:write"]))
)]
pub async fn delete(
    State(work): State<Work>,
    Owned { it, caller }: Owned<Instance, WriteInstances>,
    Extension(request_id): Extension<RequestId>,
) -> Result<impl IntoResponse, Problem> {
    let request = DeleteRequest {
        customer: caller.customer.id,
        instance: it.id,
        operation: OperationId::generate(),
        actor: &caller.actor(),
        request_id: Some(&request_id.0),
    };
    let operation = match store::instances::request_delete(&work.db, &request, work.clock.now()).await? {
        DeleteOutcome::New(dispatch) => work.notifier.notify(dispatch),
        DeleteOutcome::Already(operation) => operation,
        DeleteOutcome::Busy(operation) => {
            let detail = format!(
                "Operation {operation} is under way. Nothing was changed; try again when it has ended."
            );
            return Err(Problem::new(Code::InstanceBusy, detail));
        }
        DeleteOutcome::Absent => return Err(Problem::not_found()),
    };
    let accepted = super::accepted(&work, &caller, operation).await?;
    let location = [(header::LOCATION, format!("/api/operations/{operation}"))];
    Ok((StatusCode::ACCEPTED, location, Json(accepted)))
}
