//! What was done to a server, and by whom.

use chrono::{DateTime, Utc};
use domain::account::ActorKind;
use serde::Serialize;
use store::audit::Activity;
use utoipa::ToSchema;
use uuid::Uuid;

use super::schema;

/// Something that was done to a server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Activity)]
pub struct ActivityView {
    /// Its number; later ones are higher.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub actor: ActorView,
    /// What, such as `instance.power`. Other values may come to be.
    pub action: String,
    /// The name of the backup or schedule that it was done to.
    #[schema(required)]
    pub object_name: Option<String>,
    /// The operation that it began or ended.
    #[schema(required)]
    pub operation_id: Option<Uuid>,
    /// With `instance.power` and `schedule.*`, what was asked for: `start`, `stop`, `restart`, `kill`, `command`, `backup`.
    #[schema(required)]
    pub requested_action: Option<String>,
    /// Why it failed, or which hold it was; stable, for programs.
    #[schema(required)]
    pub reason_code: Option<String>,
}

impl From<Activity> for ActivityView {
    fn from(it: Activity) -> Self {
        Self {
            id: it.id,
            at: it.at,
            actor: ActorView::new(&it.actor, it.actor_name),
            action: it.action,
            object_name: it.object,
            operation_id: it.operation,
            requested_action: it.power,
            reason_code: it.reason,
        }
    }
}

/// Who did something.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorView {
    /// What they are.
    #[schema(schema_with = schema::actor_kind)]
    pub kind: ActorKind,
    /// What the key or schedule is called; null of every other, and of one that is gone.
    #[schema(required)]
    pub name: Option<String>,
}

impl ActorView {
    /// As the audit log names them. Which operator or daemon it was is not the customer's to know.
    pub fn new(actor: &str, name: Option<String>) -> Self {
        Self { kind: ActorKind::of(actor), name }
    }
}
