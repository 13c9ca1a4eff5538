//! `POST /api/instances`: the main job. One transaction commits everything; a worker does the rest.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::IntoResponse,
};
use domain::{
    ids::{InstanceId, OperationId},
    instance::{AGENT_PORT, Protocol, Resources},
    name::hostname_from,
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::instances::{Created, NewInstance, PortRequest};
use utoipa::ToSchema;

use crate::{
    app::Work,
    auth::{CreateInstances, May},
    catalogue::{Catalogue, Order, OrderRequest},
    extract::{IdempotencyKey, ValidJson},
    problem::Problem,
    request_id::RequestId,
    view::AcceptedView,
};

/// A server to be made. Two requests with one key are the same request if these fields are the same.
#[derive(Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInstance {
    /// What the customer calls it: unique among the account's live servers.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 48)]
    name: String,
    /// DNS label, unique among all live servers; made from the name if missing.
    #[serde(default)]
    #[garde(length(min = 1, max = 200))]
    #[schema(min_length = 3, max_length = 40)]
    hostname: Option<String>,
    /// Blueprint id.
    #[garde(length(min = 1, max = 40))]
    blueprint: String,
    /// Variant id.
    #[garde(length(min = 1, max = 40))]
    variant: String,
    /// Version; the newest if missing.
    #[serde(default)]
    #[garde(length(min = 1, max = 100))]
    version: Option<String>,
    /// Plan id.
    #[garde(length(min = 1, max = 40))]
    plan: String,
    /// Less than the plan allows; all of it if missing.
    #[serde(default)]
    #[garde(dive)]
    resources: Option<WantedResources>,
    /// That the customer accepts the game's licence, where the blueprint names one.
    #[serde(default)]
    #[garde(skip)]
    accept_eula: bool,
}

/// What a server is to be given.
#[derive(Clone, Copy, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedResources {
    /// Memory in MiB.
    #[garde(range(min = 1, max = 16_777_216))]
    memory_mib: u32,
    /// CPU in per cent of one core.
    #[garde(range(min = 1, max = 102_400))]
    cpu_percent: u32,
    /// Disk in MiB.
    #[garde(range(min = 1, max = 1_073_741_824))]
    disk_mib: u32,
}

impl CreateInstance {
    fn order_request(&self) -> OrderRequest<'_> {
        let resources = self.resources.map(|it| Resources {
            memory_mib: it.memory_mib,
            cpu_percent: it.cpu_percent,
            disk_mib: it.disk_mib,
        });
        OrderRequest {
            name: &self.name,
            hostname: self.hostname.as_deref(),
            blueprint: &self.blueprint,
            variant: &self.variant,
            version: self.version.as_deref(),
            plan: &self.plan,
            resources,
            accept_eula: self.accept_eula,
        }
    }

    /// Of what was asked for, not of how it was written.
    fn hash(&self) -> [u8; 32] {
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default()).into()
    }
}

/// Asks for a server. The answer comes as soon as it is committed; the operation tells the rest.
#[utoipa::path(
    post, path = "/instances", tag = "instances", operation_id = "createInstance",
    params(("Idempotency-Key" = String, Header, description = "A new random value; the same one to try again.")),
    request_body = CreateInstance,
    responses((status = 202, body = AcceptedView, headers(
        ("location" = String, description = "The operation"),
        ("idempotency-replayed" = Option<String>, description = "`true` if the key was used before")
    ))),
    security(("session" = []), ("api_key" = ["instances:write"]))
)]
pub async fn create(
    State(work): State<Work>,
    State(catalogue): State<Arc<Catalogue>>,
    caller: May<CreateInstances>,
    Extension(request_id): Extension<RequestId>,
    IdempotencyKey(key): IdempotencyKey,
    ValidJson(body): ValidJson<CreateInstance>,
) -> Result<impl IntoResponse, Problem> {
    let order = catalogue.order(body.order_request()).await?;
    let blueprint_version = catalogue.recorded_version(&work.db, order.blueprint, work.clock.now()).await?;
    let asked = Asked { body: &body, blueprint_version, key: &key, request_id: &request_id.0 };
    let (operation, replayed) = commit(&work, &caller, &order, asked).await?;
    let accepted = super::accepted(&work, &caller, operation).await?;
    let location = [(header::LOCATION, format!("/api/operations/{operation}"))];
    let replayed = replayed.then_some([(HeaderName::from_static("idempotency-replayed"), "true")]);
    Ok((StatusCode::ACCEPTED, location, replayed, Json(accepted)))
}

/// What a request says besides the order.
struct Asked<'a> {
    body: &'a CreateInstance,
    blueprint_version: &'a str,
    key: &'a str,
    request_id: &'a str,
}

/// Writes the rows and notifies a worker; or finds the operation that the key names. The operation, and whether it was found.
async fn commit(
    work: &Work,
    caller: &May<CreateInstances>,
    order: &Order<'_>,
    asked: Asked<'_>,
) -> Result<(OperationId, bool), Problem> {
    let (instance, operation) = (InstanceId::generate(), OperationId::generate());
    let now = work.clock.now();
    let hostname =
        asked.body.hostname.clone().unwrap_or_else(|| hostname_from(&asked.body.name, &suffix(instance)));
    let new = NewInstance {
        instance_id: instance,
        operation_id: operation,
        customer_id: caller.customer.id,
        key: asked.key,
        body_hash: asked.body.hash(),
        name: &asked.body.name,
        hostname: &hostname,
        kind: order.blueprint.kind,
        blueprint: &order.blueprint.id,
        blueprint_version: asked.blueprint_version,
        variant: &order.variant.id,
        version: &order.version,
        plan: &order.plan.id,
        resources: order.resources,
        ports: &ports(order),
        eula_accepted_at: order.blueprint.eula.as_ref().map(|_| now),
        actor: &caller.actor(),
        request_id: Some(asked.request_id),
    };
    match store::instances::create(&work.db, &new, now).await? {
        Created::Replayed(earlier) => Ok((earlier, true)),
        Created::New(dispatch) => Ok((work.notifier.notify(dispatch), false)),
    }
}

/// The blueprint's ports, and the agent's.
fn ports<'a>(order: &Order<'a>) -> Vec<PortRequest<'a>> {
    let own =
        order.blueprint.ports.iter().map(|port| PortRequest { name: &port.name, protocol: port.protocol });
    own.chain([PortRequest { name: AGENT_PORT, protocol: Protocol::Tcp }]).collect()
}

/// Six hex digits of the id's random part.
fn suffix(instance: InstanceId) -> String {
    let id = instance.0.simple().to_string();
    id.chars().skip(id.len() - 6).collect()
}
