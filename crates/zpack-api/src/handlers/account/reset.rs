//! `POST /api/password/reset-requests` and `POST /api/password/resets`: a new password for whoever has forgotten theirs.
//!
//! Architecture invariants: who asks learns nothing of whether there is an account; a link is made of the token here and of the
//! configured address where mails are sent, and no header of a request has a say in it.

use axum::{extract::State, http::StatusCode};
use domain::account::normal_email;
use garde::Validate;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::accounts::links::{self, PasswordReset};
use utoipa::ToSchema;

use crate::{
    accounts::new_link,
    app::SigningIn,
    auth::Secret,
    extract::ValidJson,
    http::ClientAddress,
    password::check_password,
    problem::{Code, Problem},
    rules,
};

/// Whose password is forgotten.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestPasswordReset {
    /// The account's address.
    #[garde(custom(rules::email))]
    #[schema(format = Email, max_length = 254)]
    email: String,
}

/// Has a link mailed with which a new password can be chosen, once, within 30 minutes. The answer is the same whether there is
/// such an account or not.
#[utoipa::path(
    post, path = "/password/reset-requests", tag = "account", operation_id = "requestPasswordReset",
    request_body = RequestPasswordReset,
    responses((status = 202, description = "If there is such an account, a mail is on its way"))
)]
pub async fn request(
    State(signing_in): State<SigningIn>,
    address: ClientAddress,
    ValidJson(body): ValidJson<RequestPasswordReset>,
) -> Result<StatusCode, Problem> {
    let email = normal_email(&body.email).unwrap_or_default();
    signing_in.rate_limits.mail(address, &email)?;
    links::request_reset(&signing_in.db, &email, &new_link()?).await?;
    Ok(StatusCode::ACCEPTED)
}

/// A new password, and the proof that one may choose it.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// What follows `#` in the link that was mailed.
    #[garde(skip)]
    #[schema(value_type = String, format = Password, max_length = 128)]
    token: SecretString,
    /// 10 to 128 characters, and not one that everybody tries first.
    #[garde(custom(rules::chosen_password))]
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    password: SecretString,
    /// Whether every API key of the account is revoked as well, and the schedules that they made are disabled.
    #[garde(skip)]
    #[serde(default)]
    revoke_keys: bool,
}

/// Sets the password. Every session ends, the link is used up, and the owner is told by mail.
#[utoipa::path(
    post, path = "/password/resets", tag = "account", operation_id = "resetPassword",
    request_body = ResetPassword,
    responses((status = 204, description = "Set: sign in with it"))
)]
pub async fn reset(
    State(signing_in): State<SigningIn>,
    address: ClientAddress,
    ValidJson(body): ValidJson<ResetPassword>,
) -> Result<StatusCode, Problem> {
    let SigningIn { db, clock, passwords, rate_limits, .. } = &signing_in;
    rate_limits.login(address, "a link")?;
    let token = Secret::given(body.token.expose_secret()).ok_or_else(no_such_link)?.hash();
    // Looked up first: hashing a password is dear, and not done for whoever has no link.
    let email = links::address_of_reset(db, &token).await?.ok_or_else(no_such_link)?;
    check_password(body.password.expose_secret(), &email)
        .map_err(|why| Problem::password("password", why))?;
    let reset = PasswordReset {
        token_hash: &token,
        password_hash: &passwords.hash(body.password).await?,
        revoke_keys: body.revoke_keys,
        from: &address.0.to_canonical().to_string(),
    };
    let set = links::reset_password(db, &reset, clock.now()).await?;
    if set { Ok(StatusCode::NO_CONTENT) } else { Err(no_such_link()) }
}

fn no_such_link() -> Problem {
    let detail = "This link was used already, has expired, or gave way to a newer one. Your password is as it was; ask for another link.";
    Problem::new(Code::LinkInvalid, detail)
}
