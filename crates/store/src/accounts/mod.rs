//! Customers, their sessions, their API keys and the links that are mailed to them.
//!
//! Tokens and keys come in as SHA-256 hashes: this crate never sees a secret that would let anybody sign in. The one exception
//! is a link's token, which is in its mail until that is sent.

/// The [`domain::account::Customer`] of a row that has its columns, where a [`crate::StoreError`] can be returned.
macro_rules! customer {
    ($row:ident) => {
        domain::account::Customer {
            id: $row.id.into(),
            email: $row.email,
            display_name: $row.display_name,
            role: $row.role.parse().map_err(|e| crate::StoreError::corrupt("customers", e))?,
            instance_limit: $row.instance_limit,
            disabled_at: $row.disabled_at,
            email_verified_at: $row.email_verified_at,
            stage: crate::accounts::stage($row.stage.as_deref())?,
            created_at: $row.created_at,
        }
    };
}

pub mod api_keys;
pub mod customers;
pub mod links;
pub mod sessions;

use domain::{enforcement::Stage, ids::CustomerId};
use sqlx::PgConnection;

use crate::{
    StoreError,
    audit::{self, By, Entry},
};

/// SHA-256 of a session token, an API key or a link's token.
pub type SecretHash = [u8; 32];

/// How far enforcement has come with somebody; whoever was never looked at is in good standing.
pub(crate) fn stage(stored: Option<&str>) -> Result<Stage, StoreError> {
    stored.map_or(Ok(Stage::GoodStanding), |text| {
        text.parse().map_err(|error| StoreError::corrupt("billing_enforcement_states", error))
    })
}

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
