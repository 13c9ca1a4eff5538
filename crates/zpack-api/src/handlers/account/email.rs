//! `POST /api/email/verification-requests` and `POST /api/email/verifications`: whether an account's address is its owner's.

use axum::{extract::State, http::StatusCode};
use garde::Validate;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::accounts::links;
use utoipa::ToSchema;

use crate::{
    accounts::new_link,
    app::SigningIn,
    auth::{Secret, SignedIn},
    extract::ValidJson,
    http::ClientAddress,
    problem::{Code, Problem},
};

/// Mails the account's address a link with which to verify it, in place of any before.
#[utoipa::path(
    post, path = "/email/verification-requests", tag = "account", operation_id = "requestVerification",
    responses((status = 202, description = "A mail is on its way")),
    security(("session" = []))
)]
pub async fn request(
    State(signing_in): State<SigningIn>,
    signed_in: SignedIn,
    address: ClientAddress,
) -> Result<StatusCode, Problem> {
    signing_in.rate_limits.mail(address, &signed_in.customer.email)?;
    if links::request_verification(&signing_in.db, signed_in.customer.id, &new_link()?).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    Err(Problem::new(Code::EmailVerified, "Nothing was sent, and there is nothing to do."))
}

/// The proof that somebody reads the address's mail.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyEmail {
    /// What follows `#` in the link that was mailed.
    #[garde(skip)]
    #[schema(value_type = String, format = Password, max_length = 128)]
    token: SecretString,
}

/// Verifies the address that the link was mailed to. Nobody needs to be signed in: mail is often read elsewhere.
#[utoipa::path(
    post, path = "/email/verifications", tag = "account", operation_id = "verifyEmail",
    request_body = VerifyEmail,
    responses((status = 204, description = "Verified"))
)]
pub async fn verify(
    State(signing_in): State<SigningIn>,
    address: ClientAddress,
    ValidJson(body): ValidJson<VerifyEmail>,
) -> Result<StatusCode, Problem> {
    signing_in.rate_limits.login(address, "a link")?;
    let detail = "This link was used already, has expired, or gave way to a newer one. The account page sends another.";
    let no_such_link = || Problem::new(Code::LinkInvalid, detail);
    let token = Secret::given(body.token.expose_secret()).ok_or_else(no_such_link)?.hash();
    let verified = links::verify_email(&signing_in.db, &token).await?;
    if verified { Ok(StatusCode::NO_CONTENT) } else { Err(no_such_link()) }
}
