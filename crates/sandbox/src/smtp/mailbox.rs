//! What was received, and what is in it.

use std::collections::VecDeque;

use mail_parser::{Message as Parsed, MessageParser};
use serde::Serialize;

use crate::stripe::time;

/// Messages that are kept, the newest.
const KEPT: usize = 500;
/// Bytes of them together.
const KEPT_BYTES: usize = 64 << 20;

/// A message as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Whom `MAIL FROM` named.
    pub(super) from: String,
    /// Whom `RCPT TO` named.
    pub(super) to: Vec<String>,
    /// All of it.
    pub(super) raw: Vec<u8>,
}

/// Messages, oldest first.
#[derive(Default)]
pub(super) struct Mailbox {
    held: VecDeque<(u64, i64, Received)>,
    count: u64,
}

impl Mailbox {
    /// Keeps a message; its number.
    pub(super) fn keep(&mut self, received: Received) -> u64 {
        self.count += 1;
        self.held.push_back((self.count, time::machine(), received));
        while self.held.len() > KEPT || self.bytes() > KEPT_BYTES {
            self.held.pop_front();
        }
        self.count
    }

    fn bytes(&self) -> usize {
        self.held.iter().map(|(.., it)| it.raw.len()).sum()
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    pub(super) fn all(&self) -> Vec<Mail> {
        self.held.iter().map(Mail::of).collect()
    }

    pub(super) fn find(&self, id: u64) -> Option<(Mail, Vec<u8>)> {
        let held = self.held.iter().find(|(of, ..)| *of == id)?;
        Some((Mail::of(held), held.2.raw.clone()))
    }
}

/// A message as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Mail {
    pub(super) id: u64,
    /// Seconds since 1970.
    pub(super) received_at: i64,
    /// Whom the envelope names: they may be others than the headers say.
    pub(super) envelope_from: String,
    pub(super) envelope_to: Vec<String>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) message_id: String,
    /// In the order of the message, as they were sent.
    pub(super) headers: Vec<(String, String)>,
    pub(super) text: String,
    pub(super) html: String,
}

impl Mail {
    fn of((id, at, received): &(u64, i64, Received)) -> Self {
        let parsed = MessageParser::default().parse(&received.raw).unwrap_or_default();
        let address = |it: Option<&mail_parser::Address<'_>>| {
            let first = it.and_then(|it| it.first());
            let (name, address) = (first.and_then(|it| it.name()), first.and_then(|it| it.address()));
            match (name, address.unwrap_or_default()) {
                (Some(name), address) => format!("{name} <{address}>"),
                (None, address) => address.to_owned(),
            }
        };
        Self {
            id: *id,
            received_at: *at,
            envelope_from: received.from.clone(),
            envelope_to: received.to.clone(),
            from: address(parsed.from()),
            to: address(parsed.to()),
            subject: parsed.subject().unwrap_or_default().to_owned(),
            message_id: parsed.message_id().unwrap_or_default().to_owned(),
            headers: headers(&parsed),
            text: parsed.body_text(0).unwrap_or_default().into_owned(),
            html: parsed.body_html(0).unwrap_or_default().into_owned(),
        }
    }
}

fn headers(parsed: &Parsed<'_>) -> Vec<(String, String)> {
    parsed.headers_raw().map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}
