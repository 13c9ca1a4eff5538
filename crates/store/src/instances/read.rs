//! Reading instances, with their ports, holds and active operation.

use chrono::{DateTime, Utc};
use domain::{
    ids::{CustomerId, InstanceId, NodeId, OperationId},
    instance::{ActiveOperation, AllocatedPort, Hold, Instance, Load, PlayerCount, Resources, Stop},
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Db, Page, StoreError};

struct InstanceRow {
    id: Uuid,
    customer_id: Uuid,
    name: String,
    hostname: String,
    kind: String,
    blueprint: String,
    blueprint_version: String,
    variant: String,
    version: String,
    plan: String,
    memory_mib: i32,
    cpu_percent: i32,
    disk_mib: i32,
    node_id: Uuid,
    address: Option<String>,
    agent_fingerprint: Option<String>,
    lifecycle: String,
    desired_power: String,
    observed_power: String,
    eula_accepted_at: Option<DateTime<Utc>>,
    row_version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    ports: Json<Vec<AllocatedPort>>,
    holds: Json<Vec<Hold>>,
    active_operation: Option<Uuid>,
    active_kind: Option<String>,
    heard_at: Option<DateTime<Utc>>,
    measured_at: Option<DateTime<Utc>>,
    load_cpu_percent: Option<f32>,
    load_memory_bytes: Option<i64>,
    load_disk_bytes: Option<i64>,
    players_online: Option<i32>,
    players_max: Option<i32>,
    stopped_at: Option<DateTime<Utc>>,
    stop_reason: Option<String>,
    stopped_by: Option<String>,
    stopped_by_name: Option<String>,
    stop_message: Option<String>,
}

impl InstanceRow {
    fn load(&self) -> Option<Load> {
        let bytes = |stored: Option<i64>| u64::try_from(stored.unwrap_or_default()).unwrap_or_default();
        let count = |stored: i32| u32::try_from(stored).unwrap_or_default();
        Some(Load {
            measured_at: self.measured_at?,
            cpu_percent: self.load_cpu_percent,
            memory_bytes: bytes(self.load_memory_bytes),
            disk_bytes: bytes(self.load_disk_bytes),
            players: self
                .players_online
                .zip(self.players_max)
                .map(|(online, max)| PlayerCount { online: count(online), max: count(max) }),
        })
    }

    fn stop(&mut self) -> Result<Option<Stop>, StoreError> {
        let Some((at, reason)) = self.stopped_at.zip(self.stop_reason.take()) else { return Ok(None) };
        Ok(Some(Stop {
            at,
            reason: reason.parse().map_err(|e| StoreError::corrupt("instance_status", e))?,
            by: self.stopped_by.take(),
            by_name: self.stopped_by_name.take(),
            message: self.stop_message.take(),
        }))
    }
}

impl TryFrom<InstanceRow> for Instance {
    type Error = StoreError;

    fn try_from(mut row: InstanceRow) -> Result<Self, StoreError> {
        let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("instances", e);
        let size = |n: i32| u32::try_from(n).map_err(|e| StoreError::corrupt("instances", e));
        let (load, stop) = (row.load(), row.stop()?);
        Ok(Self {
            id: InstanceId(row.id),
            customer_id: CustomerId(row.customer_id),
            name: row.name,
            hostname: row.hostname,
            kind: row.kind.parse().map_err(corrupt)?,
            blueprint: row.blueprint,
            blueprint_version: row.blueprint_version,
            variant: row.variant,
            version: row.version,
            plan: row.plan,
            resources: Resources {
                memory_mib: size(row.memory_mib)?,
                cpu_percent: size(row.cpu_percent)?,
                disk_mib: size(row.disk_mib)?,
            },
            node_id: NodeId(row.node_id),
            ports: row.ports.0,
            address: row.address,
            agent_fingerprint: row.agent_fingerprint,
            lifecycle: row.lifecycle.parse().map_err(corrupt)?,
            desired_power: row.desired_power.parse().map_err(corrupt)?,
            observed_power: row.observed_power.parse().map_err(corrupt)?,
            holds: row.holds.0,
            active_operation: match (row.active_operation, row.active_kind) {
                (Some(id), Some(kind)) => {
                    Some(ActiveOperation { id: OperationId(id), kind: kind.parse().map_err(corrupt)? })
                }
                _ => None,
            },
            heard_at: row.heard_at,
            load,
            stop,
            eula_accepted_at: row.eula_accepted_at,
            row_version: row.row_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// A query for live instances that satisfy a condition. One statement per shape, so that one plan suits all arguments.
macro_rules! instances {
    ($condition:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            InstanceRow,
            r#"SELECT i.id, i.customer_id, i.name, i.hostname, i.kind, i.blueprint, i.blueprint_version, i.variant,
                      i.version, i.plan, i.memory_mib, i.cpu_percent, i.disk_mib, i.node_id, i.address,
                      i.agent_fingerprint, i.lifecycle, i.desired_power, i.observed_power, i.eula_accepted_at,
                      i.row_version, i.created_at, i.updated_at,
                      COALESCE((SELECT json_agg(json_build_object('name', p.name, 'protocol', p.protocol, 'port', p.port)
                                                ORDER BY p.name)
                                FROM port_allocations p WHERE p.instance_id = i.id), '[]')
                          AS "ports!: Json<Vec<AllocatedPort>>",
                      COALESCE((SELECT json_agg(json_build_object('reason', h.reason, 'note', h.note,
                                                                  'placed_at', h.placed_at) ORDER BY h.placed_at, h.id)
                                FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL), '[]')
                          AS "holds!: Json<Vec<Hold>>",
                      o.id AS "active_operation?", o.kind AS "active_kind?",
                      s.heard_at AS "heard_at?", s.measured_at AS "measured_at?", s.cpu_percent AS "load_cpu_percent?",
                      s.memory_bytes AS "load_memory_bytes?", s.disk_bytes AS "load_disk_bytes?",
                      s.players_online AS "players_online?", s.players_max AS "players_max?",
                      s.stopped_at AS "stopped_at?", s.stop_reason AS "stop_reason?", s.stopped_by AS "stopped_by?",
                      actor_name(s.stopped_by) AS "stopped_by_name?", s.stop_message AS "stop_message?"
               FROM instances i LEFT JOIN operations o
                   ON o.instance_id = i.id AND o.state IN ('queued', 'running', 'undoing', 'stuck')
               LEFT JOIN instance_status s ON s.instance_id = i.id
               WHERE i.lifecycle <> 'deleted' AND "# + $condition,
            $($argument),+
        )
    };
}

/// One of the customer's instances. Somebody else's, a deleted one and one that never was are all `None`.
pub async fn get(db: &Db, customer: CustomerId, id: InstanceId) -> Result<Option<Instance>, StoreError> {
    let row =
        instances!("i.customer_id = $1 AND i.id = $2", customer.0, id.0).fetch_optional(db.pool()).await?;
    row.map(Instance::try_from).transpose()
}

/// The customer's instances, newest first, and where the next page begins.
pub async fn list(
    db: &Db,
    customer: CustomerId,
    page: Page,
) -> Result<(Vec<Instance>, Option<Uuid>), StoreError> {
    let rows = instances!(
        "i.customer_id = $1 AND i.id < $2 ORDER BY i.id DESC LIMIT $3",
        customer.0,
        page.before(),
        page.fetch()
    )
    .fetch_all(db.pool())
    .await?;
    let instances = rows.into_iter().map(Instance::try_from).collect::<Result<_, _>>()?;
    Ok(page.cut(instances, |instance: &Instance| instance.id.0))
}

/// An instance for the worker that holds an operation on it, whoever owns it.
pub async fn get_for_work(db: &Db, id: InstanceId) -> Result<Option<Instance>, StoreError> {
    let row = instances!("i.id = $1", id.0).fetch_optional(db.pool()).await?;
    row.map(Instance::try_from).transpose()
}

/// Everybody's instances whose name, hostname, id, owner's id or owner's address has this text in it, newest first. For
/// operators.
pub async fn search(db: &Db, text: &str, page: Page) -> Result<(Vec<Instance>, Option<Uuid>), StoreError> {
    let rows = instances!(
        "i.id < $2 AND (position(lower($1) in lower(i.name)) > 0 OR position(lower($1) in i.hostname) > 0
                        OR lower($1) IN (i.id::text, i.customer_id::text)
                        OR EXISTS (SELECT 1 FROM customers c WHERE c.id = i.customer_id
                                   AND position(lower($1) in c.email) > 0))
         ORDER BY i.id DESC LIMIT $3",
        text,
        page.before(),
        page.fetch()
    )
    .fetch_all(db.pool())
    .await?;
    let instances = rows.into_iter().map(Instance::try_from).collect::<Result<_, _>>()?;
    Ok(page.cut(instances, |instance: &Instance| instance.id.0))
}

/// Whether a live instance has this hostname, whoever owns it.
pub async fn hostname_is_taken(db: &Db, hostname: &str) -> Result<bool, StoreError> {
    let taken = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM instances WHERE hostname = $1
                          AND lifecycle IN ('provisioning', 'active', 'deleting')) AS "taken!""#,
        hostname,
    )
    .fetch_one(db.pool())
    .await?;
    Ok(taken)
}
