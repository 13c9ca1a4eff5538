//! Reading operations and their steps.

use chrono::{DateTime, Utc};
use domain::{
    ids::{BackupId, CustomerId, InstanceId, OperationId},
    operation::{Failure, Operation, OperationKind, OperationState, StepName, StepState},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{Db, Page, StoreError};

pub(super) struct OperationRow {
    pub(super) id: Uuid,
    pub(super) instance_id: Uuid,
    pub(super) customer_id: Uuid,
    pub(super) kind: String,
    pub(super) backup_id: Option<Uuid>,
    pub(super) state: String,
    pub(super) step: Option<String>,
    pub(super) step_detail: Option<String>,
    pub(super) progress: i16,
    pub(super) failure_code: Option<String>,
    pub(super) failure_message: Option<String>,
    pub(super) interruptions: i32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) cancel_requested_at: Option<DateTime<Utc>>,
    pub(super) next_operation_id: Option<Uuid>,
}

impl TryFrom<OperationRow> for Operation {
    type Error = StoreError;

    fn try_from(row: OperationRow) -> Result<Self, StoreError> {
        let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("operations", e);
        Ok(Self {
            id: OperationId(row.id),
            instance_id: InstanceId(row.instance_id),
            customer_id: CustomerId(row.customer_id),
            kind: row.kind.parse().map_err(corrupt)?,
            backup_id: row.backup_id.map(BackupId),
            state: row.state.parse().map_err(corrupt)?,
            step: row.step.map(|step| step.parse()).transpose().map_err(corrupt)?,
            step_detail: row.step_detail,
            progress: row.progress,
            failure: row
                .failure_code
                .zip(row.failure_message)
                .map(|(code, message)| Failure { code, message }),
            interruptions: row.interruptions,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            cancel_requested_at: row.cancel_requested_at,
            next_operation_id: row.next_operation_id.map(OperationId),
        })
    }
}

/// A query for operations that satisfy a condition. One statement per shape, so that one plan suits all arguments.
macro_rules! operations {
    ($condition:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            OperationRow,
            "SELECT id, instance_id, customer_id, kind, backup_id, state, step, step_detail, progress, failure_code,
                    failure_message, interruptions, created_at, started_at, finished_at, cancel_requested_at,
                    next_operation_id
             FROM operations WHERE " + $condition,
            $($argument),+
        )
    };
}

/// One of the customer's operations.
pub async fn get(db: &Db, customer: CustomerId, id: OperationId) -> Result<Option<Operation>, StoreError> {
    let row = operations!("customer_id = $1 AND id = $2", customer.0, id.0).fetch_optional(db.pool()).await?;
    row.map(Operation::try_from).transpose()
}

/// What an operation does, whoever owns it. For the worker.
pub async fn kind(db: &Db, id: OperationId) -> Result<Option<OperationKind>, StoreError> {
    let kind = sqlx::query_scalar!("SELECT kind FROM operations WHERE id = $1", id.0)
        .fetch_optional(db.pool())
        .await?;
    kind.map(|kind| kind.parse().map_err(|e| StoreError::corrupt("operations", e))).transpose()
}

/// The customer's operations, newest first, of one instance or of all, and where the next page begins.
pub async fn list(
    db: &Db,
    customer: CustomerId,
    instance: Option<InstanceId>,
    page: Page,
) -> Result<(Vec<Operation>, Option<Uuid>), StoreError> {
    let before = page.before();
    let rows = if let Some(instance) = instance {
        operations!(
            "customer_id = $1 AND instance_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
            customer.0,
            instance.0,
            before,
            page.fetch()
        )
        .fetch_all(db.pool())
        .await?
    } else {
        operations!(
            "customer_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            customer.0,
            before,
            page.fetch()
        )
        .fetch_all(db.pool())
        .await?
    };
    cut(page, rows)
}

/// Which place an operation has among those that wait: 1 is next. Counted the way [`next`](super::next) serves: in turn
/// among customers, whoever asked for more. `None` once it does not wait any more.
pub async fn place(db: &Db, operation: &Operation) -> Result<Option<i64>, StoreError> {
    if operation.state != OperationState::Queued {
        return Ok(None);
    }
    let slot = operation.kind.saga().slot;
    let place = sqlx::query_scalar!(
        r#"WITH waiting AS (
             SELECT o.id, row_number() OVER (PARTITION BY o.customer_id ORDER BY o.run_after, o.id) AS turn, t.served_at
             FROM operations o
             LEFT JOIN operation_turns t ON t.customer_id = o.customer_id AND t.slot = $2
             WHERE o.state = 'queued' AND o.kind = ANY($3)
         )
         SELECT (SELECT count(*) FROM waiting w
                 WHERE (w.turn, COALESCE(w.served_at, '-infinity'), w.id)
                     < (me.turn, COALESCE(me.served_at, '-infinity'), me.id)) + 1 AS "place!"
         FROM waiting me WHERE me.id = $1"#,
        operation.id.0,
        slot.as_str(),
        &slot.kinds(),
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(place)
}

/// One of anybody's operations. For operators.
pub async fn find(db: &Db, id: OperationId) -> Result<Option<Operation>, StoreError> {
    let row = operations!("id = $1", id.0).fetch_optional(db.pool()).await?;
    row.map(Operation::try_from).transpose()
}

/// Everybody's operations, of one state or of all, newest first. For operators.
pub async fn list_all(
    db: &Db,
    state: Option<OperationState>,
    page: Page,
) -> Result<(Vec<Operation>, Option<Uuid>), StoreError> {
    let (before, limit) = (page.before(), page.fetch());
    let rows = if let Some(state) = state {
        operations!("state = $1 AND id < $2 ORDER BY id DESC LIMIT $3", state.as_str(), before, limit)
            .fetch_all(db.pool())
            .await?
    } else {
        operations!("id < $1 ORDER BY id DESC LIMIT $2", before, limit).fetch_all(db.pool()).await?
    };
    cut(page, rows)
}

fn cut(page: Page, rows: Vec<OperationRow>) -> Result<(Vec<Operation>, Option<Uuid>), StoreError> {
    let operations = rows.into_iter().map(Operation::try_from).collect::<Result<_, _>>()?;
    Ok(page.cut(operations, |operation: &Operation| operation.id.0))
}

/// A line of the journal.
#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    /// Which step.
    pub name: StepName,
    /// Where it stands.
    pub state: StepState,
    /// How often it was begun.
    pub attempts: i32,
    /// What went wrong, for operators.
    pub error: Option<String>,
    /// Begun when.
    pub started_at: DateTime<Utc>,
    /// Ended when.
    pub finished_at: Option<DateTime<Utc>>,
}

/// An operation's journal in the order of its steps. The caller has checked whose operation it is.
pub async fn steps(db: &Db, operation: &Operation) -> Result<Vec<StepRow>, StoreError> {
    let rows = sqlx::query!(
        "SELECT name, state, attempts, error, started_at, finished_at FROM operation_steps
         WHERE operation_id = $1 ORDER BY ordinal",
        operation.id.0,
    )
    .fetch_all(db.pool())
    .await?;
    let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("operation_steps", e);
    rows.into_iter()
        .map(|row| {
            Ok(StepRow {
                name: row.name.parse().map_err(corrupt)?,
                state: row.state.parse().map_err(corrupt)?,
                attempts: row.attempts,
                error: row.error,
                started_at: row.started_at,
                finished_at: row.finished_at,
            })
        })
        .collect()
}
