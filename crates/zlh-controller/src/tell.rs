//! Telling operators: one message for each incident, changed when the incident changes, and what else they should know.

use std::fmt::Write as _;

use async_trait::async_trait;
use integrations::discord::{MAX_CHARS, Webhook, WebhookError};
use runtime::outbox::{Channel, SendError};
use serde::Deserialize;
use store::{
    Db, StoreError,
    controller::{self, Incident, Named},
    outbox::Notification,
};
use uuid::Uuid;

/// The outbox's channel to Discord.
pub struct Discord {
    db: Db,
    webhook: Webhook,
    portal_url: String,
}

/// What a notification says.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Payload {
    /// Tell how this incident is now.
    Incident(Uuid),
    /// Say this.
    Text(String),
}

impl Discord {
    /// By this webhook, with links to this Portal if there is one.
    pub fn new(db: Db, webhook: Webhook, portal_url: &str) -> Self {
        Self { db, webhook, portal_url: portal_url.trim_end_matches('/').to_owned() }
    }

    async fn tell(&self, id: Uuid) -> Result<(), SendError> {
        let Some(incident) = controller::incident(&self.db, id).await.map_err(|e| away(&e))? else {
            return Err(SendError::never(format!("there is no incident {id}")));
        };
        if incident.told_version >= incident.version {
            return Ok(());
        }
        let text = message(&incident, &self.portal_url);
        let message_id = match &incident.message_id {
            Some(message_id) => {
                if !self.webhook.edit(message_id, &text).await.map_err(|error| refused(&error))? {
                    tracing::info!(incident = %id, "somebody deleted the message of incident {id}; it is not sent again");
                }
                message_id.clone()
            }
            None => self.webhook.send(&text).await.map_err(|error| refused(&error))?,
        };
        controller::told(&self.db, id, incident.version, &message_id).await.map_err(|e| away(&e))
    }
}

#[async_trait]
impl Channel for Discord {
    fn name(&self) -> &'static str {
        controller::CHANNEL
    }

    async fn send(&self, notification: &Notification) -> Result<(), SendError> {
        match serde_json::from_value(notification.payload.clone()) {
            Ok(Payload::Incident(id)) => self.tell(id).await,
            Ok(Payload::Text(text)) => {
                self.webhook.send(&plain(&text)).await.map(drop).map_err(|error| refused(&error))
            }
            Err(error) => Err(SendError::never(format!("the payload cannot be read: {error}"))),
        }
    }
}

fn away(error: &StoreError) -> SendError {
    SendError::later(error.to_string())
}

fn refused(error: &WebhookError) -> SendError {
    let cause = error.to_string();
    match error {
        WebhookError::Refused { status, .. } => SendError::never(cause).with_code(Some(*status)),
        WebhookError::Limited(pause) => SendError::later(cause).after(*pause).with_code(Some(429)),
        WebhookError::Away(_) => SendError::later(cause),
    }
}

/// What is said of an incident: what it is, how many are open, the gravest of them, and what is done about it.
pub(crate) fn message(incident: &Incident, portal_url: &str) -> String {
    let Incident { kind, total, open, .. } = incident;
    let sign = if incident.ended_at.is_some() { "\u{2705}" } else { "\u{26a0}\u{fe0f}" };
    let what = if kind == "several" { "several rules" } else { kind };
    let mut text = format!("{sign} **{what}**: ");
    let _ = match (open, total) {
        (0, 1) => write!(text, "as it should be again"),
        (0, all) => write!(text, "all {all} as they should be again"),
        (1, 1) => write!(text, "1 difference"),
        (open, all) if open == all => write!(text, "{all} differences"),
        (open, all) => write!(text, "{open} of {all} still differ"),
    };
    let _ = write!(text, ", since {}", incident.opened_at.format("%Y-%m-%d %H:%M:%S UTC"));
    if let Some(end) = incident.ended_at {
        let _ = write!(text, " until {}", end.format("%H:%M:%S"));
    }
    let to_portal =
        if portal_url.is_empty() { String::new() } else { format!("\n<{portal_url}/op/findings>") };
    let mut told = 0;
    for finding in &incident.named {
        let line = told_line(finding);
        // The end is kept free for how many more there are, and where.
        if text.chars().count() + line.chars().count() + to_portal.chars().count() + 40 > MAX_CHARS {
            break;
        }
        text.push_str(&line);
        told += 1;
    }
    if let Some(more) = total.checked_sub(told).filter(|more| *more > 0) {
        let _ = write!(text, "\nand {more} more");
    }
    text + &to_portal
}

fn told_line(finding: &Named) -> String {
    let of = finding.hostname.as_deref().map_or_else(String::new, |name| format!(" of `{}`", code(name)));
    let mut line = format!(
        "\n- {}{of}, level {}: is `{}`, should be `{}`",
        finding.rule,
        finding.level,
        code(&finding.observed),
        code(&finding.desired)
    );
    let _ = match (finding.closed_at, finding.outcome.as_deref(), &finding.action, &finding.proposal) {
        (Some(_), Some("repaired"), Some(action), _) => write!(line, " \u{2014} repaired by {action}"),
        (Some(_), ..) => write!(line, " \u{2014} gone"),
        (None, Some(outcome), Some(action), _) => write!(line, " \u{2014} {action}: {outcome}"),
        (None, _, Some(action), _) => write!(line, " \u{2014} {action} would mend it"),
        (None, _, None, Some(proposal)) => write!(line, " \u{2014} for a person: {}", plain(proposal)),
        (None, ..) => Ok(()),
    };
    line
}

/// Foreign text between backticks: nothing in it is formatting or a mention, and it does not end them.
fn code(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(160).collect();
    let short = short.replace('`', "'");
    if short.is_empty() { "nothing".to_owned() } else { short }
}

/// Our own sentences, with what they quote made harmless.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '*' | '_' | '~' | '|' | '`' | '<' | '>' | '@' | '#' | '[' | ']' | '(' | ')' | '\\') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn named(observed: &str) -> Named {
        Named {
            rule: "entry_missing".into(),
            level: 1,
            hostname: Some("demo-1".into()),
            observed: observed.into(),
            desired: "SRV x".into(),
            action: Some("edge_republish".into()),
            proposal: None,
            closed_at: None,
            outcome: None,
        }
    }

    fn incident(open: i64, named: Vec<Named>) -> Incident {
        Incident {
            id: Uuid::now_v7(),
            kind: "entry_missing".into(),
            opened_at: DateTime::UNIX_EPOCH,
            ended_at: (open == 0).then_some(DateTime::UNIX_EPOCH),
            version: 1,
            told_version: 0,
            message_id: None,
            total: 10_000,
            open,
            named,
        }
    }

    #[test]
    fn ten_thousand_findings_are_one_message_that_fits_and_says_how_many_more() {
        let long = "x".repeat(900);
        let text =
            message(&incident(10_000, (0..10).map(|_| named(&long)).collect()), "https://portal.example");
        assert!(text.chars().count() <= MAX_CHARS, "{}", text.chars().count());
        assert!(
            text.contains("10000 differences") && text.contains("more\n<https://portal.example/op/findings>"),
            "{text}"
        );
    }

    #[test]
    fn what_others_wrote_neither_ends_its_quotes_nor_mentions_anybody() {
        let text = message(&incident(1, vec![named("TXT `@everyone` <@&1>\n# big")]), "");
        assert!(text.contains("is `TXT '@everyone' <@&1># big`"), "{text}");
        assert_eq!(plain("by @everyone [x](@here)"), "by \\@everyone \\[x\\]\\(\\@here\\)");
    }

    #[test]
    fn an_end_says_how_it_came() {
        let gone = Named {
            closed_at: Some(DateTime::UNIX_EPOCH),
            outcome: Some("repaired".into()),
            ..named("nothing")
        };
        let text = message(&Incident { total: 1, ..incident(0, vec![gone]) }, "");
        assert!(
            text.contains("as it should be again") && text.contains("repaired by edge_republish"),
            "{text}"
        );
    }
}
