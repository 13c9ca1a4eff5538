//! A change of a server's plan as its owner sees it.

use chrono::{DateTime, Utc};
use domain::billing::PlanChangeState;
use serde::Serialize;
use store::billing::plan_changes::PlanChange;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ReasonView, schema};

/// A change of a server's plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanChange)]
pub struct PlanChangeView {
    /// Its id.
    pub id: Uuid,
    /// How far it has come: `paying`, `ready` (it begins when nothing else is done with the server), `applying`, `settling` (the
    /// server is changed, the subscription follows), `done`, `reverting` (what was paid is given back), `failed`.
    #[schema(schema_with = schema::plan_change_state)]
    pub state: PlanChangeState,
    /// The plan before.
    pub from_plan: String,
    /// The plan that is wanted.
    pub to_plan: String,
    /// The operation that changes the server, once it has begun.
    #[schema(required)]
    pub operation: Option<Uuid>,
    /// Where the bank asks for a confirmation, while it does.
    #[schema(required)]
    pub pay_url: Option<String>,
    /// Why it came to nothing.
    #[schema(required)]
    pub failure: Option<ReasonView>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

impl From<PlanChange> for PlanChangeView {
    fn from(it: PlanChange) -> Self {
        Self {
            id: it.id.0,
            state: it.state,
            from_plan: it.from.plan,
            to_plan: it.to.plan,
            operation: it.operation.map(|it| it.0),
            pay_url: it.pay_url,
            failure: it.failure.map(|it| ReasonView { code: it.code, message: it.message }),
            created_at: it.created_at,
        }
    }
}
