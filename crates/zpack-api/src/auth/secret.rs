//! Session tokens, API keys and tokens of mailed links: 256 random bits, shown to their owner once, kept as a hash.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRngCore as _, rngs::OsRng};
use sha2::{Digest as _, Sha256};
use store::accounts::SecretHash;

use crate::problem::Problem;

/// What every API key begins with, so that people and secret scanners recognise one.
pub const API_KEY_PREFIX: &str = "zlh_";

/// Longest secret that is looked at, in bytes; ours have 43 and 47.
const MAX_BYTES: usize = 128;

/// A bearer's secret. Its hash needs no salt: nobody can guess 256 bits.
pub struct Secret(String);

impl Secret {
    /// A new session token.
    pub fn session_token() -> Result<Self, Problem> {
        random().map(Self)
    }

    /// A new API key.
    pub fn api_key() -> Result<Self, Problem> {
        Ok(Self(format!("{API_KEY_PREFIX}{}", random()?)))
    }

    /// A token for a link that is mailed.
    pub fn link_token() -> Result<Self, Problem> {
        random().map(Self)
    }

    /// One that a client sent, if it can be one at all.
    pub fn given(text: &str) -> Option<Self> {
        let plausible = !text.is_empty() && text.len() <= MAX_BYTES && text.is_ascii();
        plausible.then(|| Self(text.to_owned()))
    }

    /// What is stored and looked up.
    pub fn hash(&self) -> SecretHash {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The first characters of an API key: enough to tell one's keys apart, too few to help guess.
    pub fn prefix(&self) -> String {
        self.0.chars().take(API_KEY_PREFIX.len() + 6).collect()
    }

    /// The secret itself, for its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn random() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_random_and_recognised_by_its_hash() {
        let (a, b) = (Secret::api_key().unwrap(), Secret::api_key().unwrap());
        assert_eq!(a.expose().len(), 47);
        assert_ne!(a.expose(), b.expose());
        assert_eq!(Secret::given(a.expose()).unwrap().hash(), a.hash());
        assert_eq!(a.prefix().len(), 10);
        assert!(Secret::given("").is_none() && Secret::given(&"a".repeat(129)).is_none());
    }
}
