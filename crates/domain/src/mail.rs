//! Mails: what each of them tells. Whoever has one sent says it in these types; how it reads is `integrations::mail`, and how it
//! is sent the outbox's channel [`CHANNEL`].

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{enforcement::Stage, instance::text_enum};

/// The outbox's channel that sends mails.
pub const CHANNEL: &str = "mail";

/// A mail and whom it is for: the payload of a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The address.
    pub to: String,
    /// What the recipient is called, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_name: Option<String>,
    /// What it tells.
    #[serde(flatten)]
    pub mail: Mail,
}

/// What a mail tells. Tagged by `template`, which is its name everywhere: in rows, in metrics, on operators' pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", rename_all = "snake_case")]
pub enum Mail {
    /// A payment did not go through. Nothing is blocked yet.
    BillingPaymentFailed(OpenPayment),
    /// It is still open: new backups and servers are paused.
    BillingFinalWarning(OpenPayment),
    /// It is still open: servers are stopped.
    BillingSuspended(OpenPayment),
    /// It was paid: what ran starts again.
    BillingRestored(OpenPayment),
    /// Whether mail works, asked for by an operator.
    Test {
        /// When it was asked for.
        asked_at: DateTime<Utc>,
    },
    /// Somebody says that this address is theirs.
    VerifyEmail {
        /// What the link shows to us.
        token: LinkToken,
        /// Until when it works.
        expires_at: DateTime<Utc>,
    },
    /// Somebody has forgotten a password.
    PasswordReset {
        /// What the link shows to us.
        token: LinkToken,
        /// Until when it works.
        expires_at: DateTime<Utc>,
    },
    /// Something was changed about how an account is signed in to.
    SecurityNotice {
        /// What.
        event: SecurityEvent,
        /// When.
        at: DateTime<Utc>,
        /// From which address on the network, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// The API keys that still work.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        api_keys: Vec<String>,
    },
    /// A ticket has arrived. Written by no person.
    TicketReceived {
        /// Its number.
        number: String,
        /// What its sender called it.
        subject: String,
    },
    /// Somebody of ours has answered.
    TicketReply {
        /// The ticket's number.
        number: String,
        /// What its sender called it.
        subject: String,
        /// What was answered.
        text: String,
    },
    /// Something will not work for a while.
    Maintenance {
        /// What it is.
        title: String,
        /// What it means.
        text: String,
        /// From when.
        starts_at: DateTime<Utc>,
        /// Until when.
        ends_at: DateTime<Utc>,
        /// The recipient's servers that are affected.
        #[serde(default)]
        servers: Vec<String>,
    },
}

/// A payment that is open, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPayment {
    /// Since when.
    pub since: DateTime<Utc>,
    /// What follows if nothing changes.
    #[serde(default)]
    pub next_stage: Option<Stage>,
    /// When.
    #[serde(default)]
    pub next_at: Option<DateTime<Utc>>,
}

text_enum! {
    /// What was changed about how an account is signed in to.
    SecurityEvent {
        /// Its password, by somebody who was signed in.
        PasswordChanged = "password_changed",
        /// Its password, by a link that was mailed.
        PasswordReset = "password_reset",
        /// Its address: told to the old one.
        EmailChanged = "email_changed",
        /// One-time codes are asked for.
        CodesOn = "codes_on",
        /// They are not asked for any more.
        CodesOff = "codes_off",
        /// A passkey was added.
        PasskeyAdded = "passkey_added",
        /// A passkey was removed.
        PasskeyRemoved = "passkey_removed",
        /// A passkey was used whose counter says that there is a copy of it.
        PasskeyCopied = "passkey_copied",
        /// An API key was made.
        ApiKeyCreated = "api_key_created",
    }
}

/// The secret part of a link: whoever has it may do what the link is for. Letters, digits, `-` and `_`, at most 200.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkToken(String);

/// A text that is no part of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link's token has 1 to 200 letters, digits, - and _")]
pub struct NotAToken;

impl LinkToken {
    /// As the link has it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LinkToken {
    type Error = NotAToken;

    fn try_from(text: String) -> Result<Self, NotAToken> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if (1..=200).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text))
        } else {
            Err(NotAToken)
        }
    }
}

impl From<LinkToken> for String {
    fn from(token: LinkToken) -> Self {
        token.0
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

/// Whether a recipient can have no more of a kind of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class<'a> {
    /// It belongs to what somebody has with us, or asked for: there is no unsubscribing from it.
    Transactional,
    /// News. It can be unsubscribed from, without signing in, at this path below the public address.
    Subscribed {
        /// Begins with `/`.
        unsubscribe: &'a str,
    },
}

/// What becomes of a mail when its address had as many of its template within the hour as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// It waits until there is room.
    PutOff,
    /// It is not sent at all: a person can ask for it again, and a machine that answers machines must come to an end.
    Drop,
}

impl Mail {
    /// Its template's name.
    pub fn template(&self) -> &'static str {
        match self {
            Self::BillingPaymentFailed(_) => "billing_payment_failed",
            Self::BillingFinalWarning(_) => "billing_final_warning",
            Self::BillingSuspended(_) => "billing_suspended",
            Self::BillingRestored(_) => "billing_restored",
            Self::Test { .. } => "test",
            Self::VerifyEmail { .. } => "verify_email",
            Self::PasswordReset { .. } => "password_reset",
            Self::SecurityNotice { .. } => "security_notice",
            Self::TicketReceived { .. } => "ticket_received",
            Self::TicketReply { .. } => "ticket_reply",
            Self::Maintenance { .. } => "maintenance",
        }
    }

    /// Whether it can be unsubscribed from. None can yet: a new one says here what it is.
    pub fn class(&self) -> Class<'_> {
        match self {
            Self::BillingPaymentFailed(_)
            | Self::BillingFinalWarning(_)
            | Self::BillingSuspended(_)
            | Self::BillingRestored(_)
            | Self::Test { .. }
            | Self::VerifyEmail { .. }
            | Self::PasswordReset { .. }
            | Self::SecurityNotice { .. }
            | Self::TicketReceived { .. }
            | Self::TicketReply { .. }
            | Self::Maintenance { .. } => Class::Transactional,
        }
    }

    /// What becomes of one too many.
    pub fn at_limit(&self) -> AtLimit {
        match self {
            Self::Test { .. }
            | Self::VerifyEmail { .. }
            | Self::PasswordReset { .. }
            | Self::TicketReceived { .. } => AtLimit::Drop,
            Self::BillingPaymentFailed(_)
            | Self::BillingFinalWarning(_)
            | Self::BillingSuspended(_)
            | Self::BillingRestored(_)
            | Self::SecurityNotice { .. }
            | Self::TicketReply { .. }
            | Self::Maintenance { .. } => AtLimit::PutOff,
        }
    }

    /// From when on it is worth nothing, if it is for a time: its link works no more.
    pub fn worthless_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::VerifyEmail { expires_at, .. } | Self::PasswordReset { expires_at, .. } => {
                Some(*expires_at)
            }
            Self::Maintenance { ends_at, .. } => Some(*ends_at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_tagged_by_its_template_and_reads_back() {
        let token = LinkToken::try_from("abc-DEF_123".to_owned()).unwrap();
        let at = DateTime::UNIX_EPOCH;
        let mails = [
            Mail::BillingRestored(OpenPayment {
                since: at,
                next_stage: Some(Stage::Suspended),
                next_at: Some(at),
            }),
            Mail::Test { asked_at: at },
            Mail::PasswordReset { token, expires_at: at },
            Mail::SecurityNotice {
                event: SecurityEvent::CodesOff,
                at,
                from: None,
                api_keys: vec!["ci".into()],
            },
            Mail::TicketReceived { number: "K7QD".into(), subject: "Help".into() },
        ];
        for mail in mails {
            let envelope = Envelope { to: "a@example.com".into(), to_name: None, mail };
            let payload = serde_json::to_value(&envelope).unwrap();
            assert_eq!(payload["template"], envelope.mail.template());
            assert_eq!(serde_json::from_value::<Envelope>(payload).unwrap(), envelope);
        }
    }

    #[test]
    fn what_was_enqueued_before_there_were_types_is_still_read() {
        let old = json!({
            "template": "billing_final_warning", "customer": "0197a000-0000-7000-8000-000000000000", "to": "a@example.com",
            "since": "2026-11-01T00:00:00Z", "next_stage": "suspended", "next_at": "2026-11-16T00:00:00Z",
        });
        let read: Envelope = serde_json::from_value(old).unwrap();
        assert!(matches!(
            read.mail,
            Mail::BillingFinalWarning(OpenPayment { next_stage: Some(Stage::Suspended), .. })
        ));
        for unknown in [
            json!({}),
            json!(7),
            json!({ "template": "x", "to": "a@b.c" }),
            json!({ "template": "test", "to": "a@b.c" }),
        ] {
            assert!(serde_json::from_value::<Envelope>(unknown).is_err());
        }
    }

    #[test]
    fn a_token_is_not_shown_and_breaks_out_of_no_link() {
        for bad in ["", "a b", "a\r\nb", "a/../b", "a#b", "ä", &"x".repeat(201)] {
            assert_eq!(LinkToken::try_from(bad.to_owned()), Err(NotAToken), "{bad}");
        }
        assert_eq!(format!("{:?}", LinkToken::try_from("secret".to_owned()).unwrap()), "LinkToken(…)");
    }
}
