//! What operators see of the outbox.

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::outbox;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};
use uuid::Uuid;

/// Something that is told outside.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct NotificationView {
    /// Its id.
    pub id: Uuid,
    /// By which way, such as `mail` or `discord`.
    pub channel: String,
    /// Which mail it is, such as `billing_suspended`; null on other channels.
    #[schema(required)]
    pub template: Option<String>,
    /// The address that a mail goes to.
    #[schema(required)]
    pub recipient: Option<String>,
    /// What it means: told once on its channel.
    pub dedupe_key: String,
    /// `waiting`, `sent` or `failed`.
    #[schema(schema_with = states)]
    pub state: &'static str,
    /// How often it was tried since it was put there, or since an operator had it tried again.
    pub attempt_count: i32,
    /// What went wrong last; null if nothing did.
    #[schema(required)]
    pub last_error: Option<String>,
    /// What that means: `later` (it may go well another time), `blocked` (nothing on its channel can be sent, which is not its
    /// recipient's fault), `never` (it is refused for good), `dropped` (a rule of ours is against it).
    #[schema(required)]
    pub failure: Option<String>,
    /// The receiver's code for it, such as SMTP's 550.
    #[schema(required)]
    pub code: Option<i16>,
    /// When what it tells of happened.
    pub created_at: DateTime<Utc>,
    /// When it is tried next; null once it is sent or given up.
    #[schema(required)]
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it is given up.
    pub expires_at: DateTime<Utc>,
    /// When it was sent.
    #[schema(required)]
    pub sent_at: Option<DateTime<Utc>>,
}

fn states() -> Object {
    let states = ["waiting", "sent", "failed"];
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(states)).build()
}

impl From<outbox::Listed> for NotificationView {
    fn from(it: outbox::Listed) -> Self {
        let state = match it.state.as_str() {
            "sent" => "sent",
            "dead" => "failed",
            _ => "waiting",
        };
        Self {
            id: it.id,
            channel: it.channel,
            template: it.template,
            recipient: it.recipient,
            dedupe_key: it.dedupe_key,
            state,
            attempt_count: it.attempts,
            last_error: it.last_error,
            failure: it.failure,
            code: it.code,
            created_at: it.created_at,
            next_try_at: it.next_try_at,
            expires_at: it.expires_at,
            sent_at: it.sent_at,
        }
    }
}

/// A way to reach people.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
pub struct ChannelView {
    /// Such as `mail` or `discord`.
    pub channel: String,
    /// Where it sends; null while nothing is configured, and what is for it waits.
    #[schema(required)]
    pub route: Option<String>,
    /// When its settings were read: others are used after the next start of zlh-controller. Null if it never ran.
    #[schema(required)]
    pub configured_at: Option<DateTime<Utc>>,
    /// How many notifications wait.
    pub waiting_count: i64,
    /// Since when the oldest of them does.
    #[schema(required)]
    pub oldest_at: Option<DateTime<Utc>>,
    /// When something was sent last.
    #[schema(required)]
    pub last_sent_at: Option<DateTime<Utc>>,
    /// Nothing has left for two minutes, though there was something to be sent and a way for it.
    pub stalled: bool,
    /// Why nothing can be sent, as it was said last; null while something can.
    #[schema(required)]
    pub blocked_by: Option<String>,
}

impl From<outbox::Standing> for ChannelView {
    fn from(it: outbox::Standing) -> Self {
        Self {
            channel: it.channel,
            route: it.route,
            configured_at: it.configured_at,
            waiting_count: it.waiting,
            oldest_at: it.oldest_at,
            last_sent_at: it.last_sent_at,
            stalled: it.stalled,
            blocked_by: it.blocked_by,
        }
    }
}

/// A mail that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestedMail)]
pub struct RequestedMailView {
    /// Its notification.
    pub notification_id: Uuid,
    /// Where it goes.
    pub recipient: String,
}
