//! An operation as the owner of its instance sees it.

use chrono::{DateTime, Utc};
use domain::operation::{Operation, OperationKind, OperationState, StepName, StepState};
use serde::Serialize;
use store::operations::StepRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ReasonView, schema};

/// Durable work on an instance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationView {
    /// Its id.
    pub id: Uuid,
    /// On what.
    pub instance_id: Uuid,
    /// What.
    #[schema(schema_with = schema::operation_kind)]
    pub kind: OperationKind,
    /// Which backup it makes, restores or verifies.
    #[schema(required)]
    pub backup_id: Option<Uuid>,
    /// Where it stands. It has ended with `succeeded` and `failed`; `stuck` waits for an operator.
    #[schema(schema_with = schema::operation_state)]
    pub state: OperationState,
    /// The step under way, or the last one.
    #[schema(schema_with = schema::nullable_step_name, required)]
    pub step: Option<StepName>,
    /// Progress of that step for people, for example `downloading server.jar (40%)`.
    #[schema(required)]
    pub step_detail: Option<String>,
    /// 0–100 over all steps.
    #[schema(minimum = 0, maximum = 100)]
    pub progress_percent: i16,
    /// Why it failed or is stuck.
    #[schema(required)]
    pub failure: Option<ReasonView>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When work on it began.
    #[schema(required)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[schema(required)]
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was asked for that it be given up.
    #[schema(required)]
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// The operation that begins with its success: the restore that a backup was wanted before.
    #[schema(required)]
    pub next_operation_id: Option<Uuid>,
}

impl From<Operation> for OperationView {
    fn from(it: Operation) -> Self {
        Self {
            id: it.id.0,
            instance_id: it.instance_id.0,
            kind: it.kind,
            backup_id: it.backup_id.map(|id| id.0),
            state: it.state,
            step: it.step,
            step_detail: it.step_detail,
            progress_percent: it.progress,
            failure: it.failure.map(Into::into),
            created_at: it.created_at,
            started_at: it.started_at,
            finished_at: it.finished_at,
            cancel_requested_at: it.cancel_requested_at,
            next_operation_id: it.next_operation_id.map(|id| id.0),
        }
    }
}

/// An operation with its steps so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationDetail)]
pub struct OperationDetailView {
    /// The operation.
    #[serde(flatten)]
    pub operation: OperationView,
    /// Its place among all that wait: 1 is next. Null once it does not wait any more.
    #[schema(required, minimum = 1)]
    pub queue_position: Option<i64>,
    /// Its steps, in order, as far as they were begun.
    pub steps: Vec<StepView>,
}

/// A step of an operation. What an error says is for operators and not shown here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepView {
    /// Which.
    #[schema(schema_with = schema::step_name)]
    pub name: StepName,
    /// Where it stands.
    #[schema(schema_with = schema::step_state)]
    pub state: StepState,
    /// How often it was begun.
    pub attempt_count: i32,
    /// Begun when.
    pub started_at: DateTime<Utc>,
    /// Ended when.
    #[schema(required)]
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<StepRow> for StepView {
    fn from(it: StepRow) -> Self {
        Self {
            name: it.name,
            state: it.state,
            attempt_count: it.attempts,
            started_at: it.started_at,
            finished_at: it.finished_at,
        }
    }
}

/// An operation as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorOperation)]
pub struct OperatorOperationView {
    /// What its customer sees.
    #[serde(flatten)]
    pub operation: OperationView,
    /// Whose it is.
    pub customer_id: Uuid,
    /// How often a worker was lost with it since it last went on.
    pub interruption_count: i32,
}

impl From<Operation> for OperatorOperationView {
    fn from(it: Operation) -> Self {
        let (customer_id, interruption_count) = (it.customer_id.0, it.interruptions);
        Self { operation: it.into(), customer_id, interruption_count }
    }
}

/// An operation with its journal, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorOperationDetail)]
pub struct OperatorOperationDetailView {
    /// The operation.
    #[serde(flatten)]
    pub operation: OperatorOperationView,
    /// Its steps, in order, as far as they were begun.
    pub steps: Vec<OperatorStepView>,
}

impl OperatorOperationDetailView {
    /// With these steps.
    pub fn new(operation: Operation, steps: Vec<StepRow>) -> Self {
        Self { operation: operation.into(), steps: steps.into_iter().map(Into::into).collect() }
    }
}

/// A step with what went wrong in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorStep)]
pub struct OperatorStepView {
    /// What its customer sees.
    #[serde(flatten)]
    pub step: StepView,
    /// Why undoing it failed.
    #[schema(required)]
    pub error: Option<String>,
}

impl From<StepRow> for OperatorStepView {
    fn from(mut it: StepRow) -> Self {
        let error = it.error.take();
        Self { step: it.into(), error }
    }
}
