//! `[billing]`: what is sold, and how Stripe tells what became of it.

use runtime::config::{Invalid, Key, Kind, Section};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Billing, as far as it is the API's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BillingSection {
    /// What Stripe signs its webhooks with.
    #[serde(skip_serializing)]
    pub webhook_secret: SecretString,
    /// What it signed them with before, while the secret is being changed.
    #[serde(skip_serializing)]
    pub previous_webhook_secret: SecretString,
    /// Servers that somebody who registers may have without a subscription.
    pub free_instances: u32,
    /// What is bought in unless a customer says otherwise.
    pub currency: String,
    /// For how long a purchase can be paid, and its room is kept.
    pub checkout_minutes: u32,
}

impl Default for BillingSection {
    fn default() -> Self {
        Self {
            webhook_secret: SecretString::default(),
            previous_webhook_secret: SecretString::default(),
            free_instances: 0,
            currency: "eur".to_owned(),
            checkout_minutes: 60,
        }
    }
}

impl Section for BillingSection {
    fn name(&self) -> &'static str {
        "billing"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        for (key, secret) in [
            ("webhook_secret", &self.webhook_secret),
            ("previous_webhook_secret", &self.previous_webhook_secret),
        ] {
            let secret = secret.expose_secret();
            if !secret.is_empty() && !secret.starts_with("whsec_") {
                return Err(Invalid::new(key, "must begin with whsec_"));
            }
        }
        Invalid::unless_within("free_instances", self.free_instances, 0..=10_000)?;
        // Stripe's own bounds of a checkout session's life.
        Invalid::unless_within("checkout_minutes", self.checkout_minutes, 31..=1_440)?;
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Invalid::new("currency", "must be three lower-case letters, such as eur"));
        }
        Ok(())
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "webhook_secret",
        Kind::Secret,
        "Signing secret of the webhook endpoint at Stripe (`whsec_…`) that points to `/webhooks/stripe`. Without it no event is taken.",
    ),
    Key::new(
        "previous_webhook_secret",
        Kind::Secret,
        "The secret before, accepted as well while Stripe's is being rolled.",
    ),
    Key::new(
        "free_instances",
        Kind::Integer,
        "Servers that somebody who registers may have without a subscription: a grant, which an operator can take back.",
    ),
    Key::new("currency", Kind::Text, "What is bought in, of the currencies of the plans' `stripe_prices`."),
    Key::new(
        "checkout_minutes",
        Kind::Integer,
        "For how long a purchase can be paid, and room for its servers is kept; 31 to 1440.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stripe_would_refuse_is_refused_at_start() {
        assert!(BillingSection::default().validate().is_ok());
        let wrong = |change: fn(&mut BillingSection)| {
            let mut section = BillingSection::default();
            change(&mut section);
            section.validate().unwrap_err().key
        };
        assert_eq!(wrong(|it| it.webhook_secret = "sk_test_1".into()), "webhook_secret");
        assert_eq!(wrong(|it| it.checkout_minutes = 30), "checkout_minutes");
        assert_eq!(wrong(|it| it.currency = "EUR".to_owned()), "currency");
    }
}
