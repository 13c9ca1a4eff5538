//! Accounts and API keys as their owner sees them.

use chrono::{DateTime, Utc};
use domain::{
    account::{ApiKey, ApiScope, Customer, Role},
    ids::SessionId,
};
use serde::Serialize;
use store::accounts::sessions::Listed;
use utoipa::ToSchema;
use uuid::Uuid;

use super::schema;

/// The caller's account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeView {
    /// Its id.
    pub id: Uuid,
    /// Lower-case address.
    pub email: String,
    /// For people.
    pub display_name: String,
    /// What it is for.
    #[schema(schema_with = schema::role)]
    pub role: Role,
    /// How many live servers it may have.
    pub instance_limit: i32,
    /// When its address was verified.
    #[schema(required)]
    pub email_verified_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl From<Customer> for MeView {
    fn from(customer: Customer) -> Self {
        Self {
            id: customer.id.0,
            email: customer.email,
            display_name: customer.display_name,
            role: customer.role,
            instance_limit: customer.instance_limit,
            email_verified_at: customer.email_verified_at,
            created_at: customer.created_at,
        }
    }
}

/// Where somebody is signed in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// Its id.
    pub id: Uuid,
    /// What the browser calls itself; empty if it says nothing.
    pub user_agent: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to within a few minutes.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends unless it is used before.
    pub expires_at: DateTime<Utc>,
}

impl SessionView {
    /// A session, seen from another one or from itself.
    pub fn new(it: Listed, current: SessionId) -> Self {
        Self {
            id: it.session.id.0,
            user_agent: it.user_agent,
            current: it.session.id == current,
            created_at: it.session.created_at,
            last_seen_at: it.session.last_seen_at,
            expires_at: it.session.expires_at,
        }
    }
}

/// An API key, without the key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyView {
    /// Its id.
    pub id: Uuid,
    /// What the customer calls it.
    pub name: String,
    /// The key's first characters.
    pub prefix: String,
    /// What it may do.
    #[schema(schema_with = schema::api_scopes)]
    pub scopes: Vec<ApiScope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to within a minute.
    #[schema(required)]
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.0,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub struct NewApiKeyView {
    /// For `Authorization: Bearer`. Shown this once; only its hash is kept.
    pub key: String,
    /// What it is.
    pub api_key: ApiKeyView,
}
