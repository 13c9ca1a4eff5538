//! `/api/api-keys`: keys for scripts. Only a signed-in person may make, see or revoke them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use domain::{
    account::{ApiScope, MAX_API_KEY_LIFE},
    clock::Clock,
    ids::ApiKeyId,
};
use garde::Validate;
use serde::Deserialize;
use store::{
    Db,
    accounts::api_keys::{self, NewApiKey},
};
use utoipa::ToSchema;

use crate::{
    auth::{Secret, SignedIn},
    extract::ValidJson,
    problem::{Code, Problem},
    rules,
    view::{ApiKeyView, NewApiKeyView, api_scopes},
};

/// A key to be made.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for, to tell one's keys apart.
    #[garde(custom(rules::name))]
    #[schema(min_length = 1, max_length = 48)]
    name: String,
    /// What it may do: at least one.
    #[garde(length(min = 1, max = 16))]
    #[schema(schema_with = api_scopes)]
    scopes: Vec<ApiScope>,
    /// When it ends: a year from now at most.
    #[garde(skip)]
    expires_at: DateTime<Utc>,
}

/// Makes a key. It is shown this once.
#[utoipa::path(
    post, path = "/api-keys", tag = "account", operation_id = "createApiKey",
    request_body = CreateApiKey,
    responses((status = 201, body = NewApiKeyView)),
    security(("session" = []))
)]
pub async fn create(
    State(clock): State<Arc<dyn Clock>>,
    State(db): State<Db>,
    signed_in: SignedIn,
    ValidJson(mut body): ValidJson<CreateApiKey>,
) -> Result<impl IntoResponse, Problem> {
    let now = clock.now();
    if body.expires_at <= now || body.expires_at > now + MAX_API_KEY_LIFE {
        let why = "a key ends between now and a year from now";
        return Err(Problem::new(Code::ValidationFailed, "Nothing was made.").field("expires_at", why));
    }
    body.scopes.sort_unstable();
    body.scopes.dedup();
    let secret = Secret::api_key()?;
    let key = NewApiKey {
        id: ApiKeyId::generate(),
        customer_id: signed_in.customer.id,
        name: body.name,
        prefix: secret.prefix(),
        key_hash: secret.hash(),
        scopes: body.scopes,
        expires_at: body.expires_at,
    };
    let api_key = api_keys::create(&db, &key, now).await?.into();
    Ok((StatusCode::CREATED, Json(NewApiKeyView { key: secret.expose().to_owned(), api_key })))
}

/// The account's keys that are not revoked, newest first.
#[utoipa::path(
    get, path = "/api-keys", tag = "account", operation_id = "listApiKeys",
    responses((status = 200, body = Vec<ApiKeyView>)),
    security(("session" = []))
)]
pub async fn list(State(db): State<Db>, signed_in: SignedIn) -> Result<Json<Vec<ApiKeyView>>, Problem> {
    let keys = api_keys::list(&db, signed_in.customer.id).await?;
    Ok(Json(keys.into_iter().map(Into::into).collect()))
}

/// Revokes a key for good.
#[utoipa::path(
    delete, path = "/api-keys/{id}", tag = "account", operation_id = "revokeApiKey",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "Revoked")),
    security(("session" = []))
)]
pub async fn revoke(
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    signed_in: SignedIn,
    id: Result<Path<ApiKeyId>, axum::extract::rejection::PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    let revoked = api_keys::revoke(&db, signed_in.customer.id, id, clock.now()).await?;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
