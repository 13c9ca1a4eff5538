//! `POST /api/auth/login` and `POST /api/auth/logout`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use domain::account::normal_email;
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use store::{Db, accounts::customers};
use utoipa::ToSchema;

use super::sessions::{self, Client};
use crate::{
    accounts::prove,
    app::SigningIn,
    auth::{Auth, SignedIn, cookie},
    extract::ValidJson,
    http::ClientAddress,
    problem::{Code, Problem},
    rules,
    view::MeView,
};

/// Who somebody says they are, and the proof.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The account's address.
    #[garde(custom(rules::email))]
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// Its password.
    #[garde(custom(rules::given_password))]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 128)]
    password: SecretString,
}

/// Signs in. The session that the client had before ends.
#[utoipa::path(
    post, path = "/auth/login", tag = "account", operation_id = "login",
    request_body = Login,
    responses((status = 200, body = MeView, description = "Signed in: see the cookie"))
)]
pub async fn login(
    State(signing_in): State<SigningIn>,
    address: ClientAddress,
    client: Client,
    ValidJson(body): ValidJson<Login>,
) -> Result<impl IntoResponse, Problem> {
    let email = normal_email(&body.email).unwrap_or_default();
    signing_in.rate_limits.login(address, &email)?;
    let account = customers::by_email(&signing_in.db, &email).await?;
    let wrong =
        || Problem::new(Code::WrongCredentials, "Nothing was done. Check both, and mind capital letters.");
    let customer =
        prove(&signing_in.db, &signing_in.passwords, account, body.password, signing_in.clock.now())
            .await?
            .ok_or_else(wrong)?
            .customer;
    if customer.disabled_at.is_some() {
        return Err(Problem::new(Code::AccountDisabled, "Ask the operator of this installation."));
    }
    let session = sessions::open(&signing_in.auth, customer.id, client).await?;
    Ok((session, Json(MeView::from(customer))))
}

/// Signs out: the session ends, and its event streams with it.
#[utoipa::path(
    post, path = "/auth/logout", tag = "account", operation_id = "logout",
    responses((status = 204, description = "Signed out")),
    security(("session" = []))
)]
pub async fn logout(
    State(db): State<Db>,
    State(auth): State<Arc<Auth>>,
    signed_in: SignedIn,
) -> Result<impl IntoResponse, Problem> {
    store::accounts::sessions::close(&db, signed_in.customer.id, signed_in.session.id).await?;
    Ok((StatusCode::NO_CONTENT, cookie::clear(&auth)))
}
