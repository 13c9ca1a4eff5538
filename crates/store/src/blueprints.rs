//! Content of the blueprints in use: what an instance was made with stays what it is made with.

use chrono::{DateTime, Utc};
use domain::blueprint::Blueprint;

use crate::{Db, StoreError};

/// Records a blueprint's content under its content version. Recording it again changes nothing.
pub async fn record(db: &Db, blueprint: &Blueprint, now: DateTime<Utc>) -> Result<(), StoreError> {
    let body = serde_json::to_value(blueprint).map_err(|e| StoreError::corrupt("blueprint_versions", e))?;
    sqlx::query!(
        "INSERT INTO blueprint_versions (id, blueprint, body, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO NOTHING",
        blueprint.content_version(),
        blueprint.id,
        body,
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// The content with this version.
pub async fn get(db: &Db, content_version: &str) -> Result<Option<Blueprint>, StoreError> {
    let body = sqlx::query_scalar!("SELECT body FROM blueprint_versions WHERE id = $1", content_version)
        .fetch_optional(db.pool())
        .await?;
    body.map(|body| serde_json::from_value(body).map_err(|e| StoreError::corrupt("blueprint_versions", e)))
        .transpose()
}
