//! `POST /api/instances/{id}/backups`.

use std::sync::Arc;

use axum::{Extension, extract::State, response::IntoResponse};
use domain::{
    backup::{BackupOrigin, MAX_IGNORE_PATTERNS, ignore_problem},
    ids::{BackupId, OperationId},
    instance::Instance,
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::backups::{BackupRequest, NewBackup};
use utoipa::ToSchema;

use super::accepted;
use crate::{
    app::Work,
    auth::{CreateBackups, Owned},
    catalogue::Catalogue,
    extract::{IdempotencyKey, ValidJson},
    problem::{Code, Problem},
    request_id::RequestId,
    rules,
};

/// A backup to be made.
#[derive(Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBackup {
    /// What it is called; the time of the request unless told.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = 100), custom(rules::name)))]
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// What is left out: patterns as in a `.gitignore`, relative to the server's files.
    #[serde(default)]
    #[garde(length(max = MAX_IGNORE_PATTERNS))]
    #[schema(max_items = 100)]
    ignore: Vec<String>,
}

impl CreateBackup {
    /// Of what was asked for, and for which server.
    fn hash(&self, instance: &Instance) -> [u8; 32] {
        let text = serde_json::to_vec(&("backup", instance.id, self)).unwrap_or_default();
        Sha256::digest(text).into()
    }
}

/// Makes a copy of a server's files. The server goes on running meanwhile. When the plan keeps no more, the oldest
/// copy that is not locked gives way once the new one is complete.
#[utoipa::path(
    post, path = "/instances/{id}/backups", tag = "backups", operation_id = "createBackup",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "A new random value; the same one to try again.")
    ),
    request_body = CreateBackup,
    responses((status = 202, body = crate::view::BackupAcceptedView, headers(
        ("location" = String, description = "The operation"),
        ("idempotency-replayed" = Option<String>, description = "`true` if the key was used before")
    ))),
    security(("session" = []), ("api_key" = ["backups"]))
)]
pub async fn create(
    State(work): State<Work>,
    State(catalogue): State<Arc<Catalogue>>,
    Owned { it, caller }: Owned<Instance, CreateBackups>,
    Extension(request_id): Extension<RequestId>,
    key: Option<IdempotencyKey>,
    ValidJson(body): ValidJson<CreateBackup>,
) -> Result<impl IntoResponse, Problem> {
    if let Some(why) = ignore_problem(&body.ignore) {
        return Err(Problem::new(Code::ValidationFailed, "No backup was made.").field("ignore", why));
    }
    let now = work.clock.now();
    let asked = BackupRequest {
        customer: caller.customer.id,
        instance: it.id,
        operation: OperationId::generate(),
        key: key.as_ref().map(|key| (key.0.as_str(), body.hash(&it))),
        actor: &caller.actor(),
        request_id: Some(&request_id.0),
    };
    let unnamed = now.format("%Y-%m-%d %H:%M UTC").to_string();
    let backup = NewBackup {
        id: BackupId::generate(),
        name: body.name.as_deref().unwrap_or(&unnamed),
        origin: BackupOrigin::Customer,
        ignore: &body.ignore,
        keep: catalogue.plan(&it.plan).map_or(0, |plan| plan.backups),
    };
    let requested = store::backups::request(&work.db, &asked, &backup, now).await?;
    accepted(&work, &caller, &asked, requested).await
}
