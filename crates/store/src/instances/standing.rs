//! How instances stand, for whoever serves their owners for longer than one request.

use domain::ids::InstanceId;
use uuid::Uuid;

use crate::{Db, StoreError};

/// What decides whether somebody may go on with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub id: InstanceId,
    /// Whether it is active; one that is not in the answer is deleted.
    pub active: bool,
    /// Whether there is a hold on it.
    pub on_hold: bool,
}

/// How these stand. For those that know already whose they are: they were found by their owner once.
pub async fn standings(db: &Db, instances: &[InstanceId]) -> Result<Vec<Standing>, StoreError> {
    let ids: Vec<Uuid> = instances.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT i.id, i.lifecycle = 'active' AS "active!",
                  EXISTS (SELECT 1 FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL) AS "on_hold!"
           FROM instances i WHERE i.id = ANY($1) AND i.lifecycle <> 'deleted'"#,
        &ids,
    )
    .fetch_all(db.pool())
    .await?;
    let standing = |id, active, on_hold| Standing { id: InstanceId(id), active, on_hold };
    Ok(rows.into_iter().map(|row| standing(row.id, row.active, row.on_hold)).collect())
}
