//! Nodes: where instances run, what they can hold, and which ports they may hand out.

mod report;

use chrono::{DateTime, Utc};
use domain::{ids::NodeId, instance::Resources};
use serde::Serialize;

use crate::{Db, StoreError};

pub use report::{Listing, report, report_failure};

/// A node as it presents itself.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Stable name; the same name is the same node.
    pub name: String,
    /// What customers connect to.
    pub public_host: String,
    /// Where the control plane reaches its agents.
    pub agent_host: String,
    /// Memory for instances, MiB.
    pub memory_mib: i64,
    /// CPU for instances, per cent of one core.
    pub cpu_percent: i64,
    /// Disk for instances, MiB.
    pub disk_mib: i64,
    /// Ports that may be handed out, both ends included.
    pub ports: std::ops::RangeInclusive<u16>,
}

/// A node and how full it is.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// What customers connect to.
    pub public_host: String,
    /// Where agents are reached.
    pub agent_host: String,
    /// Whether it takes no new instances.
    pub cordoned: bool,
    /// Memory for instances and how much of it is handed out, MiB.
    pub memory_mib: i64,
    /// Handed out, MiB.
    pub used_memory_mib: i64,
    /// CPU for instances, per cent of one core.
    pub cpu_percent: i64,
    /// Handed out, per cent of one core.
    pub used_cpu_percent: i64,
    /// Disk for instances, MiB.
    pub disk_mib: i64,
    /// Handed out, MiB.
    pub used_disk_mib: i64,
    /// Ports that nobody has.
    pub free_ports: i64,
    /// When its worker reported last.
    pub reported_at: Option<DateTime<Utc>>,
}

/// Adds the node, or brings its capacity and ports up to date. A capacity below what is handed out is refused by
/// the table; ports that are in use stay, even outside the range, until their server is gone.
pub async fn register(db: &Db, spec: &NodeSpec, now: DateTime<Utc>) -> Result<NodeId, StoreError> {
    let (first, last) = (i32::from(*spec.ports.start()), i32::from(*spec.ports.end()));
    let mut tx = db.pool().begin().await?;
    let id = sqlx::query_scalar!(
        "INSERT INTO nodes (id, name, public_host, agent_host, memory_mib, cpu_percent, disk_mib, first_port, last_port,
             created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (name) DO UPDATE SET public_host = excluded.public_host, agent_host = excluded.agent_host,
             memory_mib = excluded.memory_mib, cpu_percent = excluded.cpu_percent, disk_mib = excluded.disk_mib,
             first_port = excluded.first_port, last_port = excluded.last_port
         RETURNING id",
        NodeId::generate().0,
        spec.name,
        spec.public_host,
        spec.agent_host,
        spec.memory_mib,
        spec.cpu_percent,
        spec.disk_mib,
        first,
        last,
        now,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "DELETE FROM port_allocations WHERE node_id = $1 AND instance_id IS NULL AND port NOT BETWEEN $2 AND $3",
        id,
        first,
        last,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO port_allocations (node_id, port) SELECT $1, generate_series($2::int, $3::int)
         ON CONFLICT DO NOTHING",
        id,
        first,
        last,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(NodeId(id))
}

/// All nodes by name. For operators.
pub async fn list(db: &Db) -> Result<Vec<Node>, StoreError> {
    let nodes = sqlx::query_as!(
        Node,
        "SELECT id, name, public_host, agent_host, cordoned, memory_mib, used_memory_mib, cpu_percent,
                used_cpu_percent, disk_mib, used_disk_mib,
                (SELECT count(*) FROM port_allocations p WHERE p.node_id = n.id AND p.instance_id IS NULL)
                    AS \"free_ports!\",
                (SELECT reported_at FROM node_reports r WHERE r.node_id = n.id) AS reported_at
         FROM nodes n ORDER BY name"
    )
    .fetch_all(db.pool())
    .await?;
    Ok(nodes)
}

/// One node. Free ports are not counted here.
pub async fn hosts(db: &Db, id: NodeId) -> Result<Option<NodeHosts>, StoreError> {
    let hosts = sqlx::query_as!(NodeHosts, "SELECT public_host, agent_host FROM nodes WHERE id = $1", id.0)
        .fetch_optional(db.pool())
        .await?;
    Ok(hosts)
}

/// Where a node is reached.
#[derive(Clone, Debug)]
pub struct NodeHosts {
    /// By customers.
    pub public_host: String,
    /// By the control plane.
    pub agent_host: String,
}

/// Of each of these amounts, whether a node has room for it at this moment.
pub async fn have_room(db: &Db, wanted: &[Resources]) -> Result<Vec<bool>, StoreError> {
    let amounts = |of: fn(&Resources) -> u32| wanted.iter().map(|it| i64::from(of(it))).collect::<Vec<_>>();
    let rooms = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM nodes n WHERE NOT n.cordoned
                          AND n.memory_mib - n.used_memory_mib >= w.memory
                          AND n.cpu_percent - n.used_cpu_percent >= w.cpu
                          AND n.disk_mib - n.used_disk_mib >= w.disk) AS "room!"
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS w (memory, cpu, disk, ordinal)
           ORDER BY w.ordinal"#,
        &amounts(|it| it.memory_mib),
        &amounts(|it| it.cpu_percent),
        &amounts(|it| it.disk_mib),
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rooms)
}
