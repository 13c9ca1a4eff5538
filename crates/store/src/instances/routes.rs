//! What is routed to servers: of those that are published and that no hold keeps from being reached.

use domain::{
    edge::{HostRoute, PortRoute},
    ids::InstanceId,
};

use crate::{Db, StoreError};

/// The ports of games, in the order of their servers; those whose clients find them by a `service` of its own only where it is
/// not `without`.
pub async fn port_routes(db: &Db, without: Option<&str>) -> Result<Vec<PortRoute>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT i.id, i.hostname, p.name AS "name!", p.protocol AS "protocol!", p.port, n.public_host
           FROM instances i
           JOIN nodes n ON n.id = i.node_id
           JOIN blueprint_versions b ON b.id = i.blueprint_version
           JOIN port_allocations p ON p.instance_id = i.id
           JOIN LATERAL jsonb_array_elements(b.body->'ports') described ON described->>'name' = p.name
           WHERE i.lifecycle = 'active' AND i.kind = 'game' AND i.address IS NOT NULL
             AND described->>'service' IS DISTINCT FROM coalesce($1, '')
             AND NOT EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL)
           ORDER BY i.id, p.name"#,
        without,
    )
    .fetch_all(db.pool())
    .await?;
    let routes = rows.into_iter().map(|row| {
        Ok(PortRoute {
            instance: InstanceId(row.id),
            hostname: row.hostname,
            protocol: row.protocol.parse().map_err(|e| StoreError::corrupt("port_allocations", e))?,
            port: u16::try_from(row.port).map_err(|e| StoreError::corrupt("port_allocations", e))?,
            name: row.name,
            node_host: row.public_host,
        })
    });
    routes.collect()
}

/// The host names of workspaces below `domain`.
pub async fn host_routes(db: &Db, domain: &str) -> Result<Vec<HostRoute>, StoreError> {
    let rows = sqlx::query!(
        "SELECT i.id, i.hostname FROM instances i
         WHERE i.lifecycle = 'active' AND i.kind = 'dev'
           AND NOT EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL) ORDER BY i.id"
    )
    .fetch_all(db.pool())
    .await?;
    let route = |id, hostname| HostRoute { instance: InstanceId(id), host: format!("{hostname}.{domain}") };
    Ok(rows.into_iter().map(|row| route(row.id, row.hostname)).collect())
}
