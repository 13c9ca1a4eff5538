//! Accounts, signing in and out, passwords and API keys.

pub mod api_keys;
pub mod email;
pub mod login;
pub mod me;
pub mod password;
pub mod register;
pub mod reset;
mod sessions;
pub mod signed_in;

use domain::account::Customer;
use secrecy::SecretString;
use store::accounts::customers::{self, Credentials};

use crate::{
    accounts::prove,
    app::SigningIn,
    http::ClientAddress,
    problem::{Code, Problem},
};

/// Somebody who is signed in shows that they still know the password. `refused` is the field that it came in and what a
/// wrong one is told; that is no 401, since the session goes on.
async fn prove_again(
    signing_in: &SigningIn,
    customer: &Customer,
    address: ClientAddress,
    password: SecretString,
    (field, detail): (&'static str, &'static str),
) -> Result<Credentials, Problem> {
    let SigningIn { db, clock, passwords, rate_limits, .. } = signing_in;
    rate_limits.login(address, &customer.email)?;
    let account = customers::by_id(db, customer.id).await?;
    prove(db, passwords, account, password, clock.now()).await?.ok_or_else(|| {
        Problem::new(Code::WrongPassword, detail).field(field, "this is not the present password")
    })
}
