//! How an operation ends. Each function is one transaction: operation, instance, capacity and audit row together.

use domain::{
    ids::{CustomerId, InstanceId, OperationId},
    operation::{Failure, OnUndone, Operation, OperationKind, OperationState, Recovery},
    text::foreign,
};
use serde_json::json;
use sqlx::PgConnection;

use super::lease::{Lease, held};
use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
    backups, billing,
    events::Event,
    queue::Dispatch,
};

/// The server is handed over: the instance is active at its address, the operation succeeded.
pub async fn create_succeeded(db: &Db, lease: &Lease, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "succeeded", None).await?;
    let done = sqlx::query!(
        "UPDATE instances SET lifecycle = 'active', observed_power = 'running', updated_at = clock_timestamp()
         WHERE id = $1 AND lifecycle = 'provisioning'",
        ended.instance.0,
    )
    .execute(&mut *tx)
    .await?;
    held(done.rows_affected())?;
    ended.record(&mut tx, "instance.created", by).await?;
    tx.commit().await?;
    Ok(())
}

/// Everything that a create began is undone: the instance failed, what it held is given back.
pub async fn create_failed(db: &Db, lease: &Lease, failure: &Failure, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "failed", Some(failure)).await?;
    give_back(&mut tx, ended.instance, "failed").await?;
    ended.record(&mut tx, "instance.create_failed", by).await?;
    tx.commit().await?;
    Ok(())
}

/// Everything that the operation began is undone. What that means for the instance is its kind's matter: only a create
/// touches the instance's lifecycle.
pub async fn undone(
    db: &Db,
    lease: &Lease,
    kind: OperationKind,
    failure: &Failure,
    by: By<'_>,
) -> Result<(), StoreError> {
    match kind.saga().on_undone {
        OnUndone::FailInstance => create_failed(db, lease, failure, by).await,
        OnUndone::FailBackup => backups::backup_failed(db, lease, failure, by).await,
        OnUndone::KeepBackup => backups::use_failed(db, lease, failure, by).await,
        OnUndone::KeepPlan => billing::plan_changes::not_changed(db, lease, failure, by).await,
        // It only goes forward: there is nothing that could be called undone.
        OnUndone::Stuck => park_stuck(db, lease, failure, by).await,
    }
}

/// Nothing of the instance is left: it is history, what it held is given back, its backups are to be removed.
pub async fn delete_succeeded(db: &Db, lease: &Lease, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "succeeded", None).await?;
    give_back(&mut tx, ended.instance, "deleted").await?;
    backups::remove_all(&mut tx, ended.instance).await?;
    ended.record(&mut tx, "instance.deleted", by).await?;
    tx.commit().await?;
    Ok(())
}

/// Something may be left outside that the worker cannot remove: the operation stays, and blocks others, until a
/// person has looked. Why it was given up in the first place stays its failure, also when it is let go on later; what
/// made it stuck is its detail.
pub async fn park_stuck(db: &Db, lease: &Lease, failure: &Failure, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let row = sqlx::query!(
        "UPDATE operations SET state = 'stuck', failure_code = COALESCE(failure_code, $3),
                failure_message = COALESCE(failure_message, $4), step_detail = $4, lease_owner = NULL,
                lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND state IN ('running', 'undoing')
         RETURNING instance_id, customer_id, failure_code",
        lease.operation.0,
        lease.term,
        foreign(&failure.code),
        foreign(&failure.message),
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    let ended = Ended {
        operation: lease.operation,
        instance: row.instance_id.into(),
        customer: row.customer_id.into(),
        failure_code: row.failure_code,
    };
    ended.record(&mut tx, "operation.stuck", by).await?;
    tx.commit().await?;
    Ok(())
}

/// An operation that only goes forward is tried again after `delay_seconds`. Returns its failed attempts.
pub async fn retry_later(
    db: &Db,
    lease: &Lease,
    failure: &Failure,
    delay_seconds: i32,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operations SET failed_attempts = failed_attempts + 1, lease_owner = NULL, lease_expires_at = NULL,
                enqueued_at = NULL, run_after = clock_timestamp() + make_interval(secs => $3), step_detail = $4
         WHERE id = $1 AND lease_term = $2 AND state = 'running'",
        lease.operation.0,
        lease.term,
        f64::from(delay_seconds),
        foreign(&failure.message),
    )
    .execute(db.pool())
    .await?;
    held(done.rows_affected())
}

/// For an operator who has mended what was in the way: the worker goes on where it gave up. `reason` is for the audit log.
/// `None` if it is not stuck.
pub async fn resume_stuck(
    db: &Db,
    id: OperationId,
    by: By<'_>,
    reason: &str,
) -> Result<Option<Dispatch<OperationId>>, StoreError> {
    let mut tx = db.pool().begin().await?;
    let Some(stuck) = stuck(&mut tx, id).await? else { return Ok(None) };
    let resumed = sqlx::query_scalar!(
        r#"SELECT resume_operation($1, $2) AS "resumed!""#,
        id.0,
        stuck.goes_on_as.as_str(),
    )
    .fetch_one(&mut *tx)
    .await?;
    if !resumed {
        return Ok(None);
    }
    let detail = json!({ "operation": id, "reason": reason });
    let entry = Entry::new(by, "operation.resume", stuck.customer, detail);
    audit::record(&mut tx, entry.on(stuck.instance)).await?;
    tx.commit().await?;
    Ok(Some(Dispatch::new(id, Some(Event::of_operation(stuck.customer, stuck.instance, id)))))
}

/// A stuck operation.
struct Stuck {
    customer: CustomerId,
    instance: InstanceId,
    /// On or back: its saga says.
    goes_on_as: OperationState,
}

async fn stuck(tx: &mut PgConnection, id: OperationId) -> Result<Option<Stuck>, StoreError> {
    let row = sqlx::query!(
        "SELECT customer_id, instance_id, kind, step FROM operations WHERE id = $1 AND state = 'stuck'",
        id.0,
    )
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("operations", e);
    let kind: OperationKind = row.kind.parse().map_err(corrupt)?;
    let begun = row.step.map(|step| step.parse()).transpose().map_err(corrupt)?;
    let goes_on_as = match kind.saga().recovery(begun) {
        Recovery::Forward => OperationState::Running,
        Recovery::Backward => OperationState::Undoing,
    };
    let (customer, instance) = (CustomerId(row.customer_id), InstanceId(row.instance_id));
    Ok(Some(Stuck { customer, instance, goes_on_as }))
}

/// An operation that a worker has let go of for good, or until a person has looked.
pub(crate) struct Ended {
    operation: OperationId,
    pub(crate) instance: InstanceId,
    customer: CustomerId,
    failure_code: Option<String>,
}

impl Ended {
    /// Its audit row.
    pub(crate) async fn record(
        &self,
        tx: &mut PgConnection,
        action: &str,
        by: By<'_>,
    ) -> Result<(), StoreError> {
        let detail = json!({ "operation": self.operation, "failure": self.failure_code });
        audit::record(tx, Entry::new(by, action, self.customer, detail).on(self.instance)).await
    }
}

/// Ends the operation under its lease.
pub(crate) async fn finish(
    tx: &mut PgConnection,
    lease: &Lease,
    state: &str,
    failure: Option<&Failure>,
) -> Result<Ended, StoreError> {
    let row = sqlx::query!(
        "UPDATE operations SET state = $3, failure_code = $4, failure_message = $5, finished_at = clock_timestamp(),
                progress = CASE $3 WHEN 'succeeded' THEN 100 ELSE progress END, step_detail = NULL,
                lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1 AND lease_term = $2 AND state IN ('running', 'undoing')
         RETURNING instance_id, customer_id, failure_code",
        lease.operation.0,
        lease.term,
        state,
        failure.map(|failure| foreign(&failure.code)),
        failure.map(|failure| foreign(&failure.message)),
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    sqlx::query!(
        "UPDATE operation_steps SET state = 'applied', finished_at = clock_timestamp()
         WHERE operation_id = $1 AND state = 'applying' AND $2 = 'succeeded'",
        lease.operation.0,
        state,
    )
    .execute(tx)
    .await?;
    Ok(Ended {
        operation: lease.operation,
        instance: row.instance_id.into(),
        customer: row.customer_id.into(),
        failure_code: row.failure_code,
    })
}

/// Gives back ports and capacity, exactly once: `capacity_held` says whether the node still counts them.
async fn give_back(tx: &mut PgConnection, instance: InstanceId, lifecycle: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE nodes n SET used_memory_mib = used_memory_mib - i.memory_mib,
                used_cpu_percent = used_cpu_percent - i.cpu_percent, used_disk_mib = used_disk_mib - i.disk_mib
         FROM instances i WHERE i.id = $1 AND i.capacity_held AND n.id = i.node_id",
        instance.0,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE port_allocations SET instance_id = NULL, name = NULL, protocol = NULL,
                released_at = clock_timestamp()
         WHERE instance_id = $1",
        instance.0,
    )
    .execute(&mut *tx)
    .await?;
    // The node's range has become another one meanwhile.
    sqlx::query!(
        "DELETE FROM port_allocations p USING nodes n, instances i
         WHERE i.id = $1 AND n.id = i.node_id AND p.node_id = n.id AND p.instance_id IS NULL
           AND p.port NOT BETWEEN n.first_port AND n.last_port",
        instance.0,
    )
    .execute(&mut *tx)
    .await?;
    let done = sqlx::query!(
        "UPDATE instances SET lifecycle = $2, capacity_held = false, address = NULL, agent_fingerprint = NULL,
                desired_power = 'stopped', observed_power = 'stopped', updated_at = clock_timestamp()
         WHERE id = $1",
        instance.0,
        lifecycle,
    )
    .execute(tx)
    .await?;
    held(done.rows_affected())
}

/// What came of asking that an operation be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// Nobody worked on it: it has ended.
    Ended,
    /// Its worker turns round within seconds, unless it is done before.
    Requested,
    /// It has ended already, or is not of a kind that can be given up.
    Refused,
}

/// Asks that a customer's operation be given up, with its audit row. The caller has checked whose it is.
pub async fn cancel(db: &Db, operation: &Operation, by: By<'_>) -> Result<Cancelled, StoreError> {
    let failure = Failure::cancelled();
    let mut tx = db.pool().begin().await?;
    let answer = sqlx::query_scalar!(
        r#"SELECT cancel_operation($1, $2, $3) AS "answer!""#,
        operation.id.0,
        failure.code,
        failure.message,
    )
    .fetch_one(&mut *tx)
    .await?;
    let outcome = match answer.as_str() {
        "ended" => Cancelled::Ended,
        "requested" => Cancelled::Requested,
        "refused" => return Ok(Cancelled::Refused),
        other => return Err(StoreError::corrupt("operations", format!("cancel_operation said {other:?}"))),
    };
    let detail = json!({ "operation": operation.id, "backup": operation.backup_id });
    let entry =
        |action| Entry::new(by, action, operation.customer_id, detail.clone()).on(operation.instance_id);
    audit::record(&mut tx, entry("operation.cancel")).await?;
    if outcome == Cancelled::Ended {
        audit::record(&mut tx, entry("backup.cancelled")).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}
