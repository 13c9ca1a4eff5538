//! Customers, their sessions and their API keys.
//!
//! Tokens and keys come in as SHA-256 hashes: this crate never sees a secret that would let anybody sign in.

pub mod api_keys;
mod audit;
pub mod customers;
pub mod sessions;

/// SHA-256 of a session token or an API key.
pub type SecretHash = [u8; 32];
