//! Passwords: which are accepted, and how they are hashed.

mod hash;
mod rules;

pub use hash::{HashError, Passwords, Verdict};
pub use rules::{MAX_CHARS, PasswordError, check_length, check_password};
