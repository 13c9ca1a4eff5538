//! The outbox's channel that sends mails.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use domain::{
    clock::Clock,
    mail::{AtLimit, CHANNEL, Envelope},
};
use integrations::mail::{Blame, MailError, Mailer, Outgoing, Settings, Tls};
use runtime::{
    config::{MailSection, MailTls},
    outbox::{Channel, SendError},
};
use store::{
    Db, StoreError,
    outbox::{self, Admission, Failure, Notification},
};

/// Sends mails by a relay.
pub struct Mail {
    db: Db,
    mailer: Mailer,
    clock: Arc<dyn Clock>,
    hourly_limit: u32,
}

/// The relay, as it is configured.
pub fn open(section: &MailSection) -> anyhow::Result<Mailer> {
    let roots = section.ca_file.as_ref().map(|file| {
        std::fs::read(file).with_context(|| format!("mail.ca_file: cannot read {}", file.display()))
    });
    let settings = Settings {
        host: section.host.clone(),
        port: section.port(),
        tls: match section.tls {
            MailTls::StartTls => Tls::StartTls,
            MailTls::Tls => Tls::Implicit,
            MailTls::None => Tls::None,
        },
        roots: roots.transpose()?,
        username: section.username.clone(),
        password: section.password.clone(),
        from: section.from.clone(),
        reply_to: section.reply_to.clone(),
        public_url: section.portal_url.clone(),
    };
    Mailer::open(&settings).map_err(|error| anyhow::anyhow!("mail.{error}"))
}

impl Mail {
    /// By this relay, with so many mails of a template to an address within an hour.
    pub fn new(db: Db, mailer: Mailer, clock: Arc<dyn Clock>, hourly_limit: u32) -> Self {
        Self { db, mailer, clock, hourly_limit }
    }

    async fn deliver(&self, notification: &Notification, envelope: &Envelope) -> Result<(), SendError> {
        let mail = &envelope.mail;
        if mail.worthless_at().is_some_and(|at| at <= self.clock.now()) {
            return Err(SendError::dropped("it has come too late: what it is about is over"));
        }
        let admission =
            outbox::admit(&self.db, notification.id, self.hourly_limit).await.map_err(|e| away(&e))?;
        if let Admission::Full(pause) = admission {
            let limit = self.hourly_limit;
            let full = format!("the address had {limit} mails of this kind within the hour");
            return Err(match mail.at_limit() {
                AtLimit::PutOff => {
                    SendError::later(format!("{full}; it is sent when there is room")).after(pause)
                }
                AtLimit::Drop => SendError::dropped(full),
            });
        }
        let outgoing = Outgoing { envelope, key: &notification.dedupe_key, at: notification.created_at };
        self.mailer.send(&outgoing).await.map_err(|error| refused(&error))
    }
}

#[async_trait]
impl Channel for Mail {
    fn name(&self) -> &'static str {
        CHANNEL
    }

    async fn send(&self, notification: &Notification) -> Result<(), SendError> {
        let envelope: Envelope = match serde_json::from_value(notification.payload.clone()) {
            Ok(envelope) => envelope,
            Err(error) => {
                count("unknown", "never");
                return Err(SendError::never(format!("this version knows no such mail: {error}")));
            }
        };
        let sent = self.deliver(notification, &envelope).await;
        let outcome = sent.as_ref().err().map_or("sent", |error| error.failure.as_str());
        count(envelope.mail.template(), outcome);
        sent
    }
}

fn count(template: &'static str, outcome: &'static str) {
    metrics::counter!("zlh_mails_total", "template" => template, "outcome" => outcome).increment(1);
}

fn away(error: &StoreError) -> SendError {
    SendError::later(error.to_string())
}

fn refused(error: &MailError) -> SendError {
    let failure = match error.blame {
        Blame::Ours => Failure::Blocked,
        Blame::Nobody => Failure::Later,
        Blame::Mail => Failure::Never,
    };
    SendError { cause: error.to_string(), failure, retry_after: None, code: error.code }
}
