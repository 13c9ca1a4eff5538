//! The audit log: who did what. A row is written in the transaction of what it tells of.

use chrono::{DateTime, Utc};
use domain::ids::{CustomerId, InstanceId, ScheduleId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Db, Page, StoreError};

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

/// What was done to an instance, for its owner: nothing of what operators write for themselves.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Its number; later ones are higher.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, as in [`By`].
    pub actor: String,
    /// What that key or schedule is called.
    pub actor_name: Option<String>,
    /// What, such as `instance.power`.
    pub action: String,
    /// The backup or schedule that it was done to.
    pub object: Option<String>,
    /// Which operation it began or ended.
    pub operation: Option<Uuid>,
    /// What was asked of the server's power, or of a schedule.
    pub power: Option<String>,
    /// Why it failed, or which hold it was.
    pub reason: Option<String>,
}

/// What was done to a customer's instance, newest first, and where the next page begins.
pub async fn of_instance(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    page: Page,
) -> Result<(Vec<Activity>, Option<Uuid>), StoreError> {
    let rows = sqlx::query_as!(
        Activity,
        r#"SELECT a.id, a.at, a.actor, actor_name(a.actor) AS actor_name, a.action,
                  COALESCE((SELECT b.name FROM backups b WHERE b.id = (a.detail->>'backup')::uuid),
                           (SELECT b.name FROM operations o JOIN backups b ON b.id = o.backup_id
                            WHERE o.id = (a.detail->>'operation')::uuid),
                           (SELECT s.name FROM schedules s WHERE s.id = (a.detail->>'schedule')::uuid),
                           a.detail->>'name') AS object,
                  (a.detail->>'operation')::uuid AS operation, a.detail->>'action' AS power,
                  COALESCE(a.detail->>'failure',
                           CASE WHEN a.action LIKE 'instance.hold%' THEN a.detail->>'reason' END) AS reason
           FROM audit_log a WHERE a.customer_id = $1 AND a.instance_id = $2 AND a.id < $3
           ORDER BY a.id DESC LIMIT $4"#,
        customer.0,
        instance.0,
        number(page.before()),
        page.fetch(),
    )
    .fetch_all(db.pool())
    .await?;
    Ok(page.cut(rows, |row: &Activity| cursor(row.id)))
}

/// A row's number as a cursor, which is a UUID everywhere.
fn cursor(id: i64) -> Uuid {
    Uuid::from_u128(u128::from(id.unsigned_abs()))
}

/// The number in a cursor; of one that is none, above all.
fn number(cursor: Uuid) -> i64 {
    i64::try_from(cursor.as_u128()).unwrap_or(i64::MAX)
}
