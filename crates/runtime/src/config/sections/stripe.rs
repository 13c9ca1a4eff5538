//! `[stripe]`: who takes payments.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// The same for every daemon that speaks with Stripe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StripeSection {
    /// Address of its API.
    pub url: String,
    /// A secret or restricted key.
    #[serde(skip_serializing)]
    pub secret_key: SecretString,
}

impl Default for StripeSection {
    fn default() -> Self {
        Self { url: "https://api.stripe.com".to_owned(), secret_key: SecretString::default() }
    }
}

impl StripeSection {
    /// Whether anything can be bought.
    pub fn is_on(&self) -> bool {
        !self.secret_key.expose_secret().is_empty()
    }
}

impl Section for StripeSection {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_http_address("url", &self.url)?;
        let key = self.secret_key.expose_secret();
        // A publishable key is the usual mistake: it can do nothing that is needed here.
        if self.is_on() && !["sk_", "rk_"].iter().any(|prefix| key.starts_with(prefix)) {
            return Err(Invalid::new("secret_key", "must begin with sk_ (secret) or rk_ (restricted)"));
        }
        Ok(())
    }
}

const KEYS: &[Key] = &[
    Key::new("url", Kind::Text, "Address of Stripe's API."),
    Key::new(
        "secret_key",
        Kind::Secret,
        "A secret key (`sk_live_…`, `sk_test_…`) or a restricted one (`rk_…`; docs/billing.md says with which rights). Without it \
         nothing can be bought, and servers are had by operators' grants only.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publishable_key_is_refused() {
        let section = |key: &str| StripeSection { secret_key: key.into(), ..StripeSection::default() };
        assert!(StripeSection::default().validate().is_ok() && !StripeSection::default().is_on());
        assert!(section("rk_live_1").validate().is_ok() && section("sk_test_1").is_on());
        assert_eq!(section("pk_live_1").validate().unwrap_err().key, "secret_key");
    }
}
