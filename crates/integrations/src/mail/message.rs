//! A mail as a message (RFC 5322): its headers, and its two parts.

use domain::mail::Class;
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use ring::digest::{SHA256, digest};

use super::{MailError, Mailer, Outgoing, Stage, render, words};

impl Mailer {
    /// The message that is sent.
    pub(super) fn compose(&self, outgoing: &Outgoing<'_>) -> Result<Message, MailError> {
        let envelope = outgoing.envelope;
        let letter = words::letter(&envelope.mail, &self.public_url);
        let unfit = |error: &dyn std::error::Error| MailError::silent(Stage::Message, &error.to_string());
        let (text, html) = render::render(&letter, &self.public_url).map_err(|error| unfit(&error))?;
        let address: Address = envelope.to.parse().map_err(|error| unfit(&error))?;
        let name = envelope.to_name.as_deref().map(words::one_line).filter(|name| !name.is_empty());
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(name, address))
            .subject(words::one_line(&letter.subject))
            .message_id(Some(self.message_id(outgoing.key)))
            .date(outgoing.at.into());
        if let Some(reply_to) = &self.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        for (name, value) in headers(envelope.mail.class(), &self.public_url) {
            message = message.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        message.multipart(MultiPart::alternative_plain_html(text, html)).map_err(|error| unfit(&error))
    }

    /// The same for the same key: a receiver that gets a mail twice can tell.
    fn message_id(&self, key: &str) -> String {
        let hash = digest(&SHA256, key.as_bytes());
        format!("<{}@{}>", hex::encode(&hash.as_ref()[..16]), self.from.email.domain())
    }
}

/// What says that no person wrote it, so that no machine answers (RFC 3834; the second is Exchange's), and how to get no more of
/// its kind where that is possible (RFC 2369, RFC 8058).
pub(super) fn headers(class: Class<'_>, public_url: &str) -> Vec<(&'static str, String)> {
    let mut headers =
        vec![("Auto-Submitted", "auto-generated".to_owned()), ("X-Auto-Response-Suppress", "All".to_owned())];
    if let Class::Subscribed { unsubscribe } = class {
        headers.push(("List-Unsubscribe", format!("<{public_url}{unsubscribe}>")));
        headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
    }
    headers
}
