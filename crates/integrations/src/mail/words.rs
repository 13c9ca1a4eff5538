//! What each mail says: what happened, what was not lost, what to do.

use chrono::{DateTime, Utc};
use domain::{
    enforcement::Stage,
    mail::{Mail, OpenPayment, SecurityEvent},
    text::foreign,
};

/// A mail's words, in the order in which they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) heading: String,
    pub(super) parts: Vec<Part>,
    /// Why the reader gets it.
    pub(super) why: &'static str,
}

/// A part of a letter. None of it is markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// Somebody else's words.
    Quote(String),
    List(Vec<String>),
    Facts(Vec<(&'static str, String)>),
    Button {
        label: &'static str,
        url: String,
    },
}

const OF_ACCOUNT: &str = "You get this mail because you have an account here.";
const OF_BILLING: &str = "You get this mail because you have a subscription here.";
const OF_SECURITY: &str = "You get this mail because it is about how your account is signed in to. There is no way to switch it off.";
const OF_TICKET: &str = "You get this mail because you wrote to us.";

/// The words of a mail, with links that begin with `public_url`.
pub(super) fn letter(mail: &Mail, public_url: &str) -> Letter {
    let link = |path: &str| format!("{public_url}{path}");
    match mail {
        Mail::BillingPaymentFailed(it) => payment_failed(it, link("/billing")),
        Mail::BillingFinalWarning(it) => final_warning(it, link("/billing")),
        Mail::BillingSuspended(it) => suspended(it, link("/billing")),
        Mail::BillingRestored(_) => restored(link("/")),
        Mail::Test { asked_at } => test(*asked_at, link("/op/notifications")),
        Mail::VerifyEmail { token, expires_at } => {
            verify_email(*expires_at, link(&format!("/verify#{}", token.expose())))
        }
        Mail::PasswordReset { token, expires_at } => {
            password_reset(*expires_at, link(&format!("/reset#{}", token.expose())))
        }
        Mail::SecurityNotice { event, at, from, api_keys } => {
            security_notice(*event, *at, from.as_deref(), api_keys, link("/account"))
        }
        Mail::TicketReceived { number, subject } => ticket_received(number, subject),
        Mail::TicketReply { number, subject, text } => ticket_reply(number, subject, text),
        Mail::Maintenance { title, text, starts_at, ends_at, servers } => {
            maintenance(title, text, *starts_at, *ends_at, servers)
        }
    }
}

fn payment_failed(it: &OpenPayment, billing: String) -> Letter {
    Letter {
        subject: "Your payment did not go through".into(),
        heading: "Your payment did not go through".into(),
        parts: vec![
            said(format!(
                "A payment has been open since {}. Everything works as before, and nothing of yours is lost.",
                day(it.since)
            )),
            said(match it.next_at {
                Some(at) => format!(
                    "We try again by ourselves. If it is still open on {}, new servers and new backups are paused.",
                    day(at)
                ),
                None => "We try again by ourselves.".into(),
            }),
            said("Pay now, or give another card, on the billing page.".into()),
            Part::Button { label: "Open billing", url: billing },
        ],
        why: OF_BILLING,
    }
}

fn final_warning(it: &OpenPayment, billing: String) -> Letter {
    Letter {
        subject: match it.next_at {
            Some(at) => format!("Your servers stop on {} unless you pay", day(at)),
            None => "Your servers stop soon unless you pay".into(),
        },
        heading: "A payment is still open".into(),
        parts: vec![
            said(format!(
                "A payment has been open since {}. Your servers run, and their files and backups are kept. New servers, new \
                 backups and upgrades are paused until it is paid.",
                day(it.since)
            )),
            said(match (it.next_stage, it.next_at) {
                (Some(Stage::Suspended) | None, Some(at)) => {
                    format!(
                        "If nothing changes your servers are stopped on {}. Nothing is deleted then either.",
                        day(at)
                    )
                }
                _ => "If nothing changes your servers are stopped. Nothing is deleted then either.".into(),
            }),
            said("Pay on the billing page, and everything is as before at once.".into()),
            Part::Button { label: "Pay", url: billing },
        ],
        why: OF_BILLING,
    }
}

fn suspended(it: &OpenPayment, billing: String) -> Letter {
    Letter {
        subject: "Your servers are stopped: a payment is open".into(),
        heading: "Your servers are stopped".into(),
        parts: vec![
            said(format!(
                "A payment has been open since {}, so your servers were stopped. Nothing was deleted: files and backups are \
                 kept, and you can read and download all of them.",
                day(it.since)
            )),
            said("Pay on the billing page. What ran starts again by itself within a minute.".into()),
            Part::Button { label: "Pay", url: billing },
        ],
        why: OF_BILLING,
    }
}

fn restored(home: String) -> Letter {
    Letter {
        subject: "Paid: your servers are back".into(),
        heading: "Thank you, it is paid".into(),
        parts: vec![
            said(
                "Nothing is blocked any more, and what ran starts again by itself. Nothing was lost.".into(),
            ),
            said("There is nothing to do.".into()),
            Part::Button { label: "Open your servers", url: home },
        ],
        why: OF_BILLING,
    }
}

fn test(asked_at: DateTime<Utc>, notifications: String) -> Letter {
    Letter {
        subject: "Test mail: mail works".into(),
        heading: "Mail works".into(),
        parts: vec![
            said(format!("An operator asked for this mail at {}.", minute(asked_at))),
            said(
                "It went the way of all mails: through the outbox, by the configured relay. Look at this message's headers for \
                 what receivers make of SPF, DKIM and DMARC."
                    .into(),
            ),
            Part::Button { label: "Open notifications", url: notifications },
        ],
        why: "You get this mail because you, an operator, asked for it.",
    }
}

fn verify_email(expires_at: DateTime<Utc>, url: String) -> Letter {
    Letter {
        subject: "Is this your address?".into(),
        heading: "Is this your address?".into(),
        parts: vec![
            said("Somebody gave this address for an account here. If it was you, say so:".into()),
            Part::Button { label: "Yes, it is mine", url },
            said(format!(
                "The link works until {}. If it was not you, do nothing: the address stays unverified, and you get no mail of this kind unless it is asked for again.",
                minute(expires_at)
            )),
        ],
        why: "You get this mail because somebody gave this address.",
    }
}

fn password_reset(expires_at: DateTime<Utc>, url: String) -> Letter {
    Letter {
        subject: "Choose a new password".into(),
        heading: "Choose a new password".into(),
        parts: vec![
            said("Somebody, probably you, asked for a new password of this account.".into()),
            Part::Button { label: "Choose a password", url },
            said(format!(
                "The link works once, until {}. If it was not you, do nothing: your password stays as it is, and nobody has \
                 got in.",
                minute(expires_at)
            )),
        ],
        why: OF_SECURITY,
    }
}

fn security_notice(
    event: SecurityEvent,
    at: DateTime<Utc>,
    from: Option<&str>,
    api_keys: &[String],
    account: String,
) -> Letter {
    let what = match event {
        SecurityEvent::PasswordChanged => "Your password was changed",
        SecurityEvent::PasswordReset => "Your password was chosen anew",
        SecurityEvent::EmailChanged => "Your account has another mail address",
        SecurityEvent::CodesOn => "One-time codes were switched on",
        SecurityEvent::CodesOff => "One-time codes were switched off",
        SecurityEvent::PasskeyAdded => "A passkey was added",
        SecurityEvent::PasskeyRemoved => "A passkey was removed",
        SecurityEvent::PasskeyCopied => "A passkey was refused: there seems to be a copy of it",
        SecurityEvent::ApiKeyCreated => "An API key was made",
    };
    let mut facts = vec![("When", minute(at))];
    facts.extend(from.map(|from| ("From", one_line(from))));
    let mut parts = vec![
        Part::Facts(facts),
        said(
            match event {
                SecurityEvent::PasswordReset => {
                    "Everybody who was signed in has been signed out. If it was you, sign in with the new password."
                }
                SecurityEvent::PasswordChanged => {
                    "Everybody else who was signed in has been signed out. If it was you, there is nothing to do."
                }
                _ => "If it was you, there is nothing to do.",
            }
            .into(),
        ),
        said(
            "If it was not, choose a new password at once and end the other sessions on the account page. Your servers, files \
             and backups are not changed by this."
                .into(),
        ),
    ];
    if !api_keys.is_empty() {
        parts.push(said("These API keys still work. Revoke those that you do not know:".into()));
        parts.push(list(api_keys));
    }
    parts.push(Part::Button { label: "Open your account", url: account });
    Letter { subject: what.into(), heading: what.into(), parts, why: OF_SECURITY }
}

fn ticket_received(number: &str, subject: &str) -> Letter {
    Letter {
        subject: format!("[{}] We have your message", one_line(number)),
        heading: "We have your message".into(),
        parts: vec![
            Part::Facts(vec![("Ticket", one_line(number)), ("Subject", one_line(subject))]),
            said("It is kept, and somebody reads it. You need not send it again.".into()),
            said("Answer this mail to add something.".into()),
        ],
        why: OF_TICKET,
    }
}

fn ticket_reply(number: &str, subject: &str, text: &str) -> Letter {
    Letter {
        subject: format!("[{}] {}", one_line(number), one_line(subject)),
        heading: "We have answered".into(),
        parts: vec![Part::Quote(foreign(text)), said("Answer this mail to go on.".into())],
        why: OF_TICKET,
    }
}

fn maintenance(
    title: &str,
    text: &str,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    servers: &[String],
) -> Letter {
    let mut parts = vec![
        Part::Facts(vec![("From", minute(starts_at)), ("Until", minute(ends_at))]),
        Part::Quote(foreign(text)),
    ];
    if !servers.is_empty() {
        parts.push(said("Your servers that are affected:".into()));
        parts.push(list(servers));
    }
    parts.push(said("Files and backups are kept. There is nothing to do.".into()));
    Letter {
        subject: format!("Maintenance: {}", one_line(title)),
        heading: one_line(title),
        parts,
        why: OF_ACCOUNT,
    }
}

fn said(text: String) -> Part {
    Part::Text(text)
}

fn list(items: &[String]) -> Part {
    Part::List(items.iter().map(|item| one_line(item)).collect())
}

/// Somebody's text on one line: what nobody sees, and what would begin another line, becomes a space.
pub(super) fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || c == char::REPLACEMENT_CHARACTER { ' ' } else { c };
    let text: String = foreign(text).chars().map(plain).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y, %H:%M UTC").to_string()
}
