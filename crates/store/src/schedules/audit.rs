//! Audit rows of schedules, written in the transaction of what they tell of.

use domain::{ids::CustomerId, ids::InstanceId, ids::ScheduleId};
use sqlx::PgConnection;

use crate::StoreError;

/// Who changes a schedule, for the audit log.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Such as `customer:{id}`.
    pub actor: &'a str,
    /// The request that it was done by.
    pub request_id: Option<&'a str>,
}

/// What a row is about.
pub(super) struct Subject {
    pub(super) customer: CustomerId,
    pub(super) instance: InstanceId,
    pub(super) schedule: ScheduleId,
}

pub(super) async fn record(
    connection: &mut PgConnection,
    by: By<'_>,
    action: &str,
    subject: &Subject,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_log (actor, action, customer_id, instance_id, request_id, detail)
         VALUES ($1, $2, $3, $4, $5, jsonb_build_object('schedule', $6::uuid) || $7::jsonb)",
        by.actor,
        action,
        subject.customer.0,
        subject.instance.0,
        by.request_id,
        subject.schedule.0,
        detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}
