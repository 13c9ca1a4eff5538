//! The audit log: who did what. A row is written in the transaction of what it tells of.

use domain::ids::{CustomerId, InstanceId, ScheduleId};
use sqlx::PgConnection;

use crate::StoreError;

/// Who does something.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Such as `customer:{id}`, `key:{id}`, `schedule:{id}`, `operator:{name}`, or a daemon's name.
    pub actor: &'a str,
    /// The request that it was done by.
    pub request_id: Option<&'a str>,
}

impl<'a> By<'a> {
    /// Of its own accord, not by a request: a daemon, a schedule, an operator at the command line.
    pub const fn itself(actor: &'a str) -> Self {
        Self { actor, request_id: None }
    }
}

/// A customer, as an actor.
pub fn customer(id: CustomerId) -> String {
    format!("customer:{id}")
}

/// A schedule, as an actor.
pub fn schedule(id: ScheduleId) -> String {
    format!("schedule:{id}")
}

/// A row.
pub(crate) struct Entry<'a> {
    by: By<'a>,
    action: &'a str,
    customer: CustomerId,
    instance: Option<InstanceId>,
    detail: serde_json::Value,
}

impl<'a> Entry<'a> {
    /// What was done to something of this customer's.
    pub(crate) fn new(by: By<'a>, action: &'a str, customer: CustomerId, detail: serde_json::Value) -> Self {
        Self { by, action, customer, instance: None, detail }
    }

    /// To this instance, or something of it.
    pub(crate) fn on(self, instance: InstanceId) -> Self {
        Self { instance: Some(instance), ..self }
    }
}

/// Writes one row.
pub(crate) async fn record(connection: &mut PgConnection, entry: Entry<'_>) -> Result<(), StoreError> {
    record_all(connection, &[entry]).await
}

/// Writes rows, in one statement.
pub(crate) async fn record_all(
    connection: &mut PgConnection,
    entries: &[Entry<'_>],
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let actors: Vec<_> = entries.iter().map(|entry| entry.by.actor.to_owned()).collect();
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.to_owned()).collect();
    let customers: Vec<_> = entries.iter().map(|entry| entry.customer.0).collect();
    let instances: Vec<_> = entries.iter().map(|entry| entry.instance.map(|id| id.0)).collect();
    let requests: Vec<_> = entries.iter().map(|entry| entry.by.request_id.map(str::to_owned)).collect();
    let details: Vec<_> = entries.iter().map(|entry| entry.detail.clone()).collect();
    sqlx::query!(
        "INSERT INTO audit_log (actor, action, customer_id, instance_id, request_id, detail)
         SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[])",
        &actors,
        &actions,
        &customers,
        &instances as &[Option<uuid::Uuid>],
        &requests as &[Option<String>],
        &details,
    )
    .execute(connection)
    .await?;
    Ok(())
}
