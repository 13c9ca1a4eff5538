//! `/api/api-keys`: keys for scripts. Only a signed-in person may make, see or revoke them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    account::{ApiScope, MAX_API_KEY_LIFE},
    clock::Clock,
    ids::ApiKeyId,
};
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use store::{
    Db,
    accounts::api_keys::{self, NewApiKey},
};
use utoipa::ToSchema;

use super::prove_again;
use crate::{
    app::SigningIn,
    auth::{Secret, SignedIn},
    extract::ValidJson,
    http::ClientAddress,
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
    /// The account's password. Not needed within ten minutes of signing in.
    #[serde(default)]
    #[garde(inner(custom(rules::given_password)))]
    #[schema(value_type = Option<String>, format = Password, min_length = 1, max_length = 128)]
    password: Option<SecretString>,
}

/// How long after signing in a person is taken to be there.
const RECENT: TimeDelta = TimeDelta::minutes(10);

/// Makes a key. It is shown this once. A session that was left open is not enough: a key outlives it.
#[utoipa::path(
    post, path = "/api-keys", tag = "account", operation_id = "createApiKey",
    request_body = CreateApiKey,
    responses((status = 201, body = NewApiKeyView)),
    security(("session" = []))
)]
pub async fn create(
    State(signing_in): State<SigningIn>,
    signed_in: SignedIn,
    address: ClientAddress,
    ValidJson(mut body): ValidJson<CreateApiKey>,
) -> Result<impl IntoResponse, Problem> {
    let now = signing_in.clock.now();
    if body.expires_at <= now || body.expires_at > now + MAX_API_KEY_LIFE {
        let why = "a key ends between now and a year from now";
        return Err(Problem::new(Code::ValidationFailed, "Nothing was made.").field("expires_at", why));
    }
    if body.password.is_some() || now - signed_in.session.created_at > RECENT {
        let password = body.password.ok_or_else(password_required)?;
        let refused = ("password", "Nothing was made, and you are still signed in. Mind capital letters.");
        prove_again(&signing_in, &signed_in.customer, address, password, refused).await?;
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
    let api_key = api_keys::create(&signing_in.db, &key, now).await?.into();
    Ok((StatusCode::CREATED, Json(NewApiKeyView { key: secret.expose().to_owned(), api_key })))
}

fn password_required() -> Problem {
    let detail = "You signed in a while ago. Nothing was made; send your password along.";
    Problem::new(Code::PasswordRequired, detail).field("password", "the account's password is needed")
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
