//! `POST /api/me/password`.

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use garde::Validate;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::accounts::customers;
use utoipa::ToSchema;

use super::{
    prove_again,
    sessions::{self, Client},
};
use crate::{
    app::SigningIn,
    auth::SignedIn,
    extract::ValidJson,
    http::ClientAddress,
    password::check_password,
    problem::{Code, Problem},
    rules,
};

/// The old password and the new one.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one: a session that was left open is not enough.
    #[garde(custom(rules::given_password))]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 128)]
    current_password: SecretString,
    /// 10 to 128 characters, and not one that everybody tries first.
    #[garde(custom(rules::chosen_password))]
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    new_password: SecretString,
    /// Whether every API key of the account is revoked as well, and the schedules that they made are disabled: whoever
    /// knew the old password may have made one.
    #[garde(skip)]
    #[serde(default = "yes")]
    revoke_api_keys: bool,
}

const fn yes() -> bool {
    true
}

/// Changes the password. Every other session ends, and this one gets a new token; API keys are revoked unless told
/// otherwise.
#[utoipa::path(
    post, path = "/me/password", tag = "account", operation_id = "changePassword",
    request_body = ChangePassword,
    responses((status = 204, description = "Changed: see the cookie")),
    security(("session" = []))
)]
pub async fn change_password(
    State(signing_in): State<SigningIn>,
    SignedIn { customer, session, .. }: SignedIn,
    address: ClientAddress,
    client: Client,
    ValidJson(body): ValidJson<ChangePassword>,
) -> Result<impl IntoResponse, Problem> {
    check_password(body.new_password.expose_secret(), &customer.email)
        .map_err(|why| Problem::password("new_password", why))?;
    let refused =
        ("current_password", "Nothing was changed, and you are still signed in. Mind capital letters.");
    let proved = prove_again(&signing_in, &customer, address, body.current_password, refused).await?;
    let old = proved.password_hash;
    let new = signing_in.passwords.hash(body.new_password).await?;
    if !customers::change_password(
        &signing_in.db,
        customer.id,
        &old,
        &new,
        session.id,
        body.revoke_api_keys,
        signing_in.clock.now(),
    )
    .await?
    {
        return Err(Problem::new(
            Code::PasswordChanged,
            "Another request was quicker. Sign in with that password.",
        ));
    }
    let session = sessions::open(&signing_in.auth, customer.id, client).await?;
    Ok((StatusCode::NO_CONTENT, session))
}
