//! Accounts: who somebody is, how they prove it, and what an API key may do.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    enforcement::Stage,
    ids::{ApiKeyId, CustomerId, SessionId},
    instance::text_enum,
    text::has_hidden,
};

/// Longest e-mail address, in bytes (RFC 5321, 4.5.3.1.3, without the angle brackets).
pub const MAX_EMAIL_BYTES: usize = 254;

/// Longest life of an API key.
pub const MAX_API_KEY_LIFE: TimeDelta = TimeDelta::days(365);

/// Most API keys of one account that are neither revoked nor expired.
pub const MAX_API_KEYS: i64 = 50;

/// Most sessions of one account; the one that was used longest ago gives way.
pub const MAX_SESSIONS: i64 = 50;

text_enum! {
    /// Who did something, as customers are told.
    ActorKind {
        /// The owner, signed in.
        Customer = "customer",
        /// One of the owner's API keys.
        ApiKey = "api_key",
        /// One of the owner's schedules.
        Schedule = "schedule",
        /// Somebody who runs this installation.
        Operator = "operator",
        /// The installation itself.
        System = "system",
    }
}

impl ActorKind {
    /// Of an actor as the audit log names it: `customer:{id}`, `key:{id}`, `schedule:{id}`, `operator:{name}`, or a
    /// daemon's name.
    pub fn of(actor: &str) -> Self {
        match actor.split(':').next() {
            Some("customer") => Self::Customer,
            Some("key") => Self::ApiKey,
            Some("schedule") => Self::Schedule,
            Some("operator") => Self::Operator,
            _ => Self::System,
        }
    }
}

text_enum! {
    /// What an account is for.
    Role {
        /// Owns instances.
        Customer = "customer",
        /// Runs the installation.
        Operator = "operator",
    }
}

text_enum! {
    /// What an API key may do. A session may do all of it.
    ApiScope {
        /// See instances, operations and events.
        InstancesRead = "instances:read",
        /// Create, rename and delete instances.
        InstancesWrite = "instances:write",
        /// Start, stop, restart and kill.
        InstancesPower = "instances:power",
        /// Read the console and type in it.
        InstancesConsole = "instances:console",
        /// See and download files.
        FilesRead = "files:read",
        /// Change files.
        FilesWrite = "files:write",
        /// See, make, restore and delete backups.
        Backups = "backups",
        /// See and change schedules.
        Schedules = "schedules",
        /// See the account.
        AccountRead = "account:read",
    }
}

text_enum! {
    /// What a link is for that is mailed.
    LinkPurpose {
        /// To choose a new password.
        PasswordReset = "password_reset",
        /// To show that somebody reads the address's mail.
        VerifyEmail = "verify_email",
    }
}

impl LinkPurpose {
    /// For how long such a link works. One for a password is a password itself; the other lets nobody in.
    pub const fn life(self) -> Duration {
        match self {
            Self::PasswordReset => Duration::from_mins(30),
            Self::VerifyEmail => Duration::from_hours(72),
        }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Lower-case address; the name to sign in with.
    pub email: String,
    /// For people.
    pub display_name: String,
    /// What it is for.
    pub role: Role,
    /// How many live instances it may have.
    pub instance_limit: i32,
    /// Since when it may do nothing.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When somebody who reads its address's mail said so.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// How far enforcement of payment has come.
    pub stage: Stage,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A signed-in browser or client. Its token is known only to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id; not a secret.
    pub id: SessionId,
    /// Whose.
    pub customer_id: CustomerId,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to within a few minutes.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends unless it is used before.
    pub expires_at: DateTime<Utc>,
}

/// A key for scripts. The key itself was shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id; not a secret.
    pub id: ApiKeyId,
    /// Whose.
    pub customer_id: CustomerId,
    /// What the customer calls it.
    pub name: String,
    /// Its first characters, to be recognised by.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<ApiScope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLife {
    /// Without use.
    pub idle: TimeDelta,
    /// In any case.
    pub absolute: TimeDelta,
}

impl SessionLife {
    /// When a session that was opened at `created_at` and is used at `now` ends.
    pub fn expiry(&self, created_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.idle).min(created_at + self.absolute)
    }
}

/// The form in which an address is stored and compared: trimmed and lower-case. `None` when it is not an address.
///
/// Only the shape that every mail system agrees on is checked; whether it exists only a mail can tell.
pub fn normal_email(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let (local, domain) = email.rsplit_once('@')?;
    let odd = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"' | '\\');
    let labels = domain.split('.').count() >= 2 && domain.split('.').all(|label| !label.is_empty());
    let fits = email.len() <= MAX_EMAIL_BYTES && local.len() <= 64;
    (fits
        && labels
        && !local.is_empty()
        && !local.contains('@')
        && !email.chars().any(odd)
        && !has_hidden(&email))
    .then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_without_regard_to_case() {
        assert_eq!(normal_email(" Ada@Example.ORG "), Some("ada@example.org".to_owned()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in
            ["", "ada", "@example.org", "ada@", "ada@local", "a b@example.org", "a@b@example.org", "a@b..org"]
        {
            assert_eq!(normal_email(bad), None, "{bad:?}");
        }
        assert_eq!(normal_email(&format!("{}@example.org", "a".repeat(65))), None);
    }

    #[test]
    fn an_address_has_no_characters_that_nobody_sees() {
        for bad in [
            "a\0@example.org",
            "a\u{200B}@example.org",
            "\u{202E}a@example.org",
            "de\u{AD}mo@example.org",
            "demo@exam\u{AD}ple.org",
        ] {
            assert_eq!(normal_email(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn use_prolongs_a_session_but_not_beyond_its_absolute_life() {
        let life = SessionLife { idle: TimeDelta::days(14), absolute: TimeDelta::days(90) };
        let opened = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let day = |n| opened + TimeDelta::days(n);
        assert_eq!(life.expiry(opened, opened), day(14));
        assert_eq!(life.expiry(opened, day(50)), day(64));
        assert_eq!(life.expiry(opened, day(80)), day(90));
    }
}
