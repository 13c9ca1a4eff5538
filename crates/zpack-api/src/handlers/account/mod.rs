//! Accounts, signing in and out, passwords and API keys.

pub mod api_keys;
pub mod login;
pub mod me;
pub mod password;
pub mod register;
mod sessions;
