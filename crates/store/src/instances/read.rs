//! Reading instances, with their ports, holds and active operation.

use chrono::{DateTime, Utc};
use domain::{
    ids::{CustomerId, InstanceId, NodeId, OperationId},
    instance::{ActiveOperation, AllocatedPort, Hold, Instance, Resources},
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
}

impl TryFrom<InstanceRow> for Instance {
    type Error = StoreError;

    fn try_from(row: InstanceRow) -> Result<Self, StoreError> {
        let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("instances", e);
        let size = |n: i32| u32::try_from(n).map_err(|e| StoreError::corrupt("instances", e));
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
                      o.id AS "active_operation?", o.kind AS "active_kind?"
               FROM instances i LEFT JOIN operations o
                   ON o.instance_id = i.id AND o.state IN ('queued', 'running', 'undoing', 'stuck')
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
