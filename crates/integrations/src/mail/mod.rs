//! Mail, by a relay that takes it from us over SMTP: what each says, its headers, and the way to the relay.
//!
//! Architecture invariants: a mail's links begin with the configured public address and nothing else; what the relay has against us
//! (our login, our sender, our connection) is never held against a recipient.
//!
//! `words` is what each mail says, `render` how that looks as text and as HTML, `message` makes a message of it, `connection` is
//! the way to the relay, and `error` says whose fault a failure is.

mod connection;
mod error;
mod message;
mod render;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::mail::Envelope;
use lettre::message::Mailbox;
use secrecy::SecretString;
use tokio::time::timeout;

pub use error::{Blame, MailError, Stage};

use connection::Relay;

/// Longest that sending one mail may take, a new connection included.
pub const DEADLINE: Duration = Duration::from_secs(28);

/// How the connection to the relay is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It begins in the open and must become TLS before anything is said (port 587).
    StartTls,
    /// It is TLS from its first byte (port 465).
    Implicit,
    /// It is open. For development, on this machine.
    None,
}

/// The relay, and who we are there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, which its certificate has to be for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub tls: Tls,
    /// Further certificates that are trusted, as PEM.
    pub roots: Option<Vec<u8>>,
    /// Who signs in; nobody if it is empty.
    pub username: String,
    /// With what.
    pub password: SecretString,
    /// From whom mails are, such as `ZLH <noreply@example.com>`.
    pub from: String,
    /// Where answers go; to the sender if it is empty.
    pub reply_to: String,
    /// Address of the Portal: what every link begins with.
    pub public_url: String,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct SettingsError {
    /// Which one.
    pub key: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// A mail that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// What it tells, and whom.
    pub envelope: &'a Envelope,
    /// What it means: the same key is the same message, however often it is sent.
    pub key: &'a str,
    /// When what it tells of happened.
    pub at: DateTime<Utc>,
}

/// Sends mails.
#[derive(Debug)]
pub struct Mailer {
    relay: Relay,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    public_url: String,
}

impl Mailer {
    /// By this relay. Connects to nobody yet.
    pub fn open(settings: &Settings) -> Result<Self, SettingsError> {
        let mailbox = |key, text: &str| {
            let reason = |_| format!("{text:?} is not an address such as \"ZLH <noreply@example.com>\"");
            text.parse::<Mailbox>().map_err(|e| SettingsError { key, reason: reason(e) })
        };
        let reply_to = Some(settings.reply_to.as_str()).filter(|text| !text.is_empty());
        Ok(Self {
            relay: Relay::open(settings)?,
            from: mailbox("from", &settings.from)?,
            reply_to: reply_to.map(|text| mailbox("reply_to", text)).transpose()?,
            public_url: settings.public_url.trim_end_matches('/').to_owned(),
        })
    }

    /// Where mails go, for people; no secret is in it.
    pub fn route(&self) -> String {
        format!("{} as {}", self.relay, self.from.email)
    }

    /// Sends a mail: `Ok` means that the relay has taken it.
    pub async fn send(&self, outgoing: &Outgoing<'_>) -> Result<(), MailError> {
        let message = self.compose(outgoing)?;
        let sent = timeout(DEADLINE, self.relay.send(message.envelope(), &message.formatted())).await;
        sent.unwrap_or_else(|_| {
            Err(MailError::silent(Stage::Content, &format!("it took longer than {DEADLINE:?}")))
        })
    }
}
