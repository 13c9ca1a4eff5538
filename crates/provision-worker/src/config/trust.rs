//! `[trust]`: public keys of other daemons, which agents are told to trust.

use domain::{
    agent::{API_ISSUER, Scope, TrustedKey},
    token,
};
use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// What the API may ask of an agent: least, so that whoever takes over the API cannot install anything.
const API_SCOPES: [Scope; 5] = [Scope::Observe, Scope::Power, Scope::Console, Scope::Files, Scope::Tunnel];

/// Whom agents trust besides this daemon. Scopes are fixed in the code.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustSection {
    /// zpack-api's public key: 32 bytes, base64.
    pub api_public_key: String,
}

impl TrustSection {
    /// The keys, for trust bundles.
    pub fn keys(&self) -> Result<Vec<TrustedKey>, token::KeyRejected> {
        Ok(vec![token::trusted_key(API_ISSUER, &self.api_public_key, API_SCOPES.to_vec())?])
    }
}

impl Section for TrustSection {
    fn name(&self) -> &'static str {
        "trust"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[Key::new(
            "api_public_key",
            Kind::Text,
            "Ed25519 public key (32 bytes, base64) of zpack-api, as `zpack-api public-key` prints it. Required.",
        )];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.api_public_key.is_empty() {
            return Err(Invalid::new("api_public_key", "required: the output of `zpack-api public-key`"));
        }
        Self::keys(self).map(drop).map_err(|error| Invalid::new("api_public_key", error.to_string()))
    }
}
