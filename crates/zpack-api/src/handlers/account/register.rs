//! `POST /api/auth/register`: a new account, signed in.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use domain::account::{Role, normal_email};
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::sessions::{self, Client};
use crate::{
    accounts::{self, NewAccount},
    app::SigningIn,
    config::{ApiSection, BillingSection},
    extract::ValidJson,
    http::ClientAddress,
    problem::{Code, Problem},
    rules,
    view::MeView,
};

/// An account to be made.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// To sign in with.
    #[garde(custom(rules::email))]
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// 10 to 128 characters, and not one that everybody tries first.
    #[garde(custom(rules::chosen_password))]
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    password: SecretString,
    /// For people; the address's part before the @ if missing.
    #[serde(default)]
    #[garde(inner(custom(rules::name)))]
    #[schema(min_length = 1, max_length = 48)]
    display_name: Option<String>,
}

/// Makes an account and signs it in.
#[utoipa::path(
    post, path = "/auth/register", tag = "account", operation_id = "register",
    request_body = Register,
    responses((status = 201, body = MeView, description = "Made and signed in: see the cookie"))
)]
pub async fn register(
    State(signing_in): State<SigningIn>,
    State(settings): State<ApiSection>,
    State(billing): State<BillingSection>,
    address: ClientAddress,
    client: Client,
    ValidJson(body): ValidJson<Register>,
) -> Result<impl IntoResponse, Problem> {
    if !settings.registration_open {
        return Err(Problem::new(
            Code::RegistrationClosed,
            "Ask the operator of this installation for an account.",
        ));
    }
    let email = normal_email(&body.email).unwrap_or_default();
    signing_in.rate_limits.register(address, &email)?;
    let account = NewAccount {
        email,
        display_name: body.display_name,
        password: body.password,
        role: Role::Customer,
        instance_limit: settings.default_instance_limit,
        granted: billing.free_instances,
        by: None,
        verify: true,
    };
    let customer =
        accounts::create(&signing_in.db, &signing_in.passwords, account, signing_in.clock.now()).await?;
    let session = sessions::open(&signing_in.auth, customer.id, client).await?;
    Ok((StatusCode::CREATED, session, Json(MeView::from(customer))))
}
