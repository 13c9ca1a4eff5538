//! The limit of mails to one address: so many of a template within an hour.

use std::time::Duration;

use uuid::Uuid;

use crate::{Db, StoreError};

/// Whether a notification may go to its recipient now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and counts from now on.
    Admitted,
    /// Its recipient had as many of its template within the hour as there may be. There is room again after this time.
    Full(Duration),
}

/// Lets a notification through to its recipient unless `limit` others of its template were let through within the hour. One that
/// was let through stays so for the hour, however often it is tried.
pub async fn admit(db: &Db, id: Uuid, limit: u32) -> Result<Admission, StoreError> {
    let mut tx = db.pool().begin().await?;
    // Two that are sent at the same moment count one after the other.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', recipient, template), 20))
         FROM notifications WHERE id = $1",
        id
    )
    .execute(&mut *tx)
    .await?;
    let admitted = sqlx::query!(
        "UPDATE notifications n SET admitted_at = CASE WHEN n.admitted_at > clock_timestamp() - interval '1 hour'
                                                  THEN n.admitted_at ELSE clock_timestamp() END
         WHERE n.id = $1 AND (n.admitted_at > clock_timestamp() - interval '1 hour'
             OR (SELECT count(*) FROM notifications o WHERE o.recipient = n.recipient AND o.template = n.template
                 AND o.admitted_at > clock_timestamp() - interval '1 hour') < $2)",
        id,
        i64::from(limit),
    )
    .execute(&mut *tx)
    .await?;
    if admitted.rows_affected() > 0 {
        tx.commit().await?;
        return Ok(Admission::Admitted);
    }
    let seconds = sqlx::query_scalar!(
        r#"SELECT EXTRACT(EPOCH FROM min(o.admitted_at) + interval '1 hour' - clock_timestamp())::float8
           FROM notifications o, notifications n WHERE n.id = $1 AND o.recipient = n.recipient AND o.template = n.template
             AND o.admitted_at > clock_timestamp() - interval '1 hour'"#,
        id
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(Admission::Full(Duration::from_secs_f64(seconds.unwrap_or_default().clamp(1.0, 3_600.0))))
}
