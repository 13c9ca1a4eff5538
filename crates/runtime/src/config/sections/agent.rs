//! `[agent]`: the key with which a daemon's calls to agents are signed.

use domain::token::{KeyRejected, Signer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// The agents' side of things. Each daemon has a key of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSection {
    /// Ed25519 private key. Required.
    #[serde(skip_serializing)]
    pub key: SecretString,
}

impl AgentSection {
    /// The key, ready to sign in the name of `issuer`, the daemon as agents know it.
    pub fn signer(&self, issuer: &str) -> Result<Signer, KeyRejected> {
        Signer::from_base64(issuer, self.key.expose_secret())
    }
}

impl Section for AgentSection {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[Key::new(
            "key",
            Kind::Secret,
            "This daemon's own Ed25519 private key (base64 of PKCS#8), with which its calls to agents are signed. Required.",
        )];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.key.expose_secret().is_empty() {
            return Err(Invalid::new("key", "required: set agent.key_file or the credential agent.key"));
        }
        self.signer("check").map(drop).map_err(|error| Invalid::new("key", error.to_string()))
    }
}
