//! Customers, their sessions and their API keys.
//!
//! Tokens and keys come in as SHA-256 hashes: this crate never sees a secret that would let anybody sign in.

pub mod api_keys;
pub mod customers;
pub mod sessions;

use domain::ids::CustomerId;
use sqlx::PgConnection;

use crate::{
    StoreError,
    audit::{self, By, Entry},
};

/// SHA-256 of a session token or an API key.
pub type SecretHash = [u8; 32];

/// Records what a customer did to their own account.
async fn record(
    tx: &mut PgConnection,
    action: &str,
    customer: CustomerId,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    let actor = audit::customer(customer);
    audit::record(tx, Entry::new(By::itself(&actor), action, customer, detail)).await
}
