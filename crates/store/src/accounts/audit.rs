//! Audit rows of account changes, written in the transaction of the change.

use domain::ids::CustomerId;
use sqlx::PgConnection;

use crate::StoreError;

/// Records what `customer` did to their own account.
pub(super) async fn record(
    connection: &mut PgConnection,
    action: &str,
    customer: CustomerId,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_log (actor, action, customer_id, detail) VALUES ($1, $2, $3, $4)",
        format!("customer:{customer}"),
        action,
        customer.0,
        detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}
