//! `[rate_limits]`: how often somebody may try to sign in, make an account or have a link mailed.

use std::num::NonZeroU32;

use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// Attempts, each as a burst that refills evenly over its period.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitsSection {
    /// Logins a minute from one address.
    pub login_per_minute_by_address: NonZeroU32,
    /// Logins a minute to one account.
    pub login_per_minute_by_account: NonZeroU32,
    /// Registrations an hour from one address.
    pub register_per_hour_by_address: NonZeroU32,
    /// Registrations an hour of one e-mail address.
    pub register_per_hour_by_account: NonZeroU32,
    /// Mails with links that are asked for in an hour from one address.
    pub mail_per_hour_by_address: NonZeroU32,
    /// The same for one e-mail address.
    pub mail_per_hour_by_account: NonZeroU32,
}

impl Default for RateLimitsSection {
    fn default() -> Self {
        let n = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            login_per_minute_by_address: n(30),
            login_per_minute_by_account: n(10),
            register_per_hour_by_address: n(20),
            register_per_hour_by_account: n(5),
            mail_per_hour_by_address: n(20),
            mail_per_hour_by_account: n(5),
        }
    }
}

impl Section for RateLimitsSection {
    fn name(&self) -> &'static str {
        "rate_limits"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "login_per_minute_by_address",
                Kind::Integer,
                "Logins a minute from one address (IPv6: one /64).",
            ),
            Key::new(
                "login_per_minute_by_account",
                Kind::Integer,
                "Logins a minute to one account from one address: nobody can keep its owner out.",
            ),
            Key::new(
                "register_per_hour_by_address",
                Kind::Integer,
                "Registrations an hour from one address.",
            ),
            Key::new(
                "register_per_hour_by_account",
                Kind::Integer,
                "Registrations an hour of one e-mail address.",
            ),
            Key::new(
                "mail_per_hour_by_address",
                Kind::Integer,
                "Links for a new password or a verification that are asked for in an hour from one address.",
            ),
            Key::new(
                "mail_per_hour_by_account",
                Kind::Integer,
                "The same for one e-mail address from one address.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}
