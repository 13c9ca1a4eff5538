//! What a node's engine has, as its worker reports it. By the database's clock.

use std::time::Duration;

use domain::ids::{InstanceId, NodeId};

use crate::{Db, StoreError};

/// What an engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Instances whose containers are there, with our mark.
    pub containers: Vec<InstanceId>,
    /// Instances under whose id there is something without our mark.
    pub unmarked: Vec<InstanceId>,
}

/// Reports a listing that was begun `ago`. `same` says that it is what this process reported last: then the list itself is not
/// written again.
pub async fn report(
    db: &Db,
    node: NodeId,
    listing: &Listing,
    ago: Duration,
    same: bool,
) -> Result<(), StoreError> {
    let ago = ago.as_secs_f64();
    if same {
        let done = sqlx::query!(
            "UPDATE node_reports SET reported_at = clock_timestamp(), error = NULL,
                    listed_at = clock_timestamp() - make_interval(secs => $2) WHERE node_id = $1",
            node.0,
            ago,
        );
        if done.execute(db.pool()).await?.rows_affected() == 1 {
            return Ok(());
        }
    }
    let ids = |of: &[InstanceId]| of.iter().map(|id| id.0).collect::<Vec<_>>();
    sqlx::query!(
        "INSERT INTO node_reports (node_id, reported_at, listed_at, containers, unmarked)
         VALUES ($1, clock_timestamp(), clock_timestamp() - make_interval(secs => $2), $3, $4)
         ON CONFLICT (node_id) DO UPDATE SET reported_at = excluded.reported_at, listed_at = excluded.listed_at,
             containers = excluded.containers, unmarked = excluded.unmarked, error = NULL",
        node.0,
        ago,
        &ids(&listing.containers),
        &ids(&listing.unmarked),
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Reports that the engine could not be listed; what it listed last stays, with its time.
pub async fn report_failure(db: &Db, node: NodeId, error: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO node_reports (node_id, reported_at, error) VALUES ($1, clock_timestamp(), $2)
         ON CONFLICT (node_id) DO UPDATE SET reported_at = excluded.reported_at, error = excluded.error",
        node.0,
        error,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}
