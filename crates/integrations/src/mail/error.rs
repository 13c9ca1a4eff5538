//! Why a mail was not sent, and whose fault that is.

use std::error::Error as _;

use domain::text::foreign;
use lettre::transport::smtp;

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Making a message of it.
    Message,
    /// Reaching the relay.
    Connect,
    /// Making the connection safe.
    Tls,
    /// Signing in.
    SignIn,
    /// Naming the sender (`MAIL FROM`).
    Sender,
    /// Naming the recipient (`RCPT TO`).
    Recipient,
    /// The message itself (`DATA`).
    Content,
}

impl Stage {
    const fn words(self) -> &'static str {
        match self {
            Self::Message => "the message could not be made",
            Self::Connect => "the relay could not be reached",
            Self::Tls => "the connection to the relay could not be made safe",
            Self::SignIn => "the relay refused our login",
            Self::Sender => "the relay refused our sender",
            Self::Recipient => "the relay did not take the recipient",
            Self::Content => "the relay did not take the message",
        }
    }
}

/// Whose fault it is, and so what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Ours, or our relay's: nothing can be sent until it is mended, and no recipient is to blame.
    Ours,
    /// Nobody's: the recipient's side asks to try again later.
    Nobody,
    /// This mail or its recipient will never be taken.
    Mail,
}

/// A mail was not sent. Has no secrets in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {said}", .stage.words(), .code.map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct MailError {
    /// How far it came.
    pub stage: Stage,
    /// Whose fault it is.
    pub blame: Blame,
    /// The relay's code (RFC 5321, section 4.2), if it said one.
    pub code: Option<u16>,
    /// What it said, or what went wrong.
    pub said: String,
}

impl MailError {
    /// Without an answer of the relay.
    pub(super) fn silent(stage: Stage, said: &str) -> Self {
        Self { stage, blame: classify(stage, None), code: None, said: shortened(said) }
    }

    /// Of the library's error.
    pub(super) fn of(stage: Stage, error: &smtp::Error) -> Self {
        let code = error.status().map(u16::from);
        // Its own words repeat the code before what the relay said.
        let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        Self { stage, blame: classify(stage, code), code, said: shortened(&said) }
    }
}

/// Longest text of a relay that is kept, in characters.
const MAX_CHARS: usize = 500;

fn shortened(text: &str) -> String {
    let text: String = foreign(text).split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(MAX_CHARS).collect()
}

/// Codes that are about us wherever they come (RFC 5321 and RFC 4954): the relay closes, takes no commands in this order, wants a
/// login, a safer one, or another.
const ABOUT_US: &[u16] = &[421, 500, 501, 502, 503, 530, 534, 535, 538];

/// Whose fault a failure is.
pub(super) fn classify(stage: Stage, code: Option<u16>) -> Blame {
    match (stage, code) {
        (Stage::Message, _) => Blame::Mail,
        (Stage::Connect | Stage::Tls | Stage::SignIn | Stage::Sender, _) | (_, None) => Blame::Ours,
        (Stage::Recipient | Stage::Content, Some(code)) if code == 501 && stage == Stage::Recipient => {
            Blame::Mail
        }
        (Stage::Recipient | Stage::Content, Some(code)) if ABOUT_US.contains(&code) => Blame::Ours,
        (Stage::Recipient | Stage::Content, Some(400..=499)) => Blame::Nobody,
        (Stage::Recipient | Stage::Content, Some(_)) => Blame::Mail,
    }
}
