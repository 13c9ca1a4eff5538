//! One look at the rows: every instance with what the rules need of it, in one statement.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{
    drift::{InstanceFacts, LostPort, NodeFacts, OperationFacts, PaymentFacts, StorageFacts},
    edge::Publication,
    ids::{InstanceId, OperationId},
    instance::{AllocatedPort, Lifecycle},
    operation::OperationState,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Db, StoreError};

/// An instance, and what is published of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the rules are told. Its `entries` are to be filled in by who knows the edge.
    pub facts: InstanceFacts,
    /// What is published of it; `None` for what has no port of its own.
    pub publication: Option<Publication>,
    /// Under which address its customer finds it.
    pub address: Option<String>,
}

impl Row {
    /// Whether the edge should have it: it was published, and nothing takes it away. `None` while that is being decided.
    pub fn is_published(&self) -> Option<bool> {
        match self.facts.lifecycle {
            // A create that was not yet published has no address.
            Lifecycle::Active => Some(self.address.is_some()),
            Lifecycle::Provisioning | Lifecycle::Deleting => None,
            // A failed create is undone, unless it is stuck.
            Lifecycle::Deleted | Lifecycle::Failed => self.facts.active.is_none().then_some(false),
        }
    }
}

struct Found {
    id: Uuid,
    hostname: String,
    lifecycle: String,
    desired_power: String,
    observed_power: String,
    address: Option<String>,
    public_host: String,
    port: Option<Json<AllocatedPort>>,
    service: Option<String>,
    node: String,
    updated_at: DateTime<Utc>,
    on_hold: bool,
    heard_at: Option<DateTime<Utc>>,
    operation: Option<Uuid>,
    kind: Option<String>,
    state: Option<String>,
    lease_expires_at: Option<DateTime<Utc>>,
    run_after: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

/// Every instance that is not deleted, or the one with this id; and the database's time.
pub async fn rows(db: &Db, only: Option<InstanceId>) -> Result<(Vec<Row>, DateTime<Utc>), StoreError> {
    let found = sqlx::query_as!(
        Found,
        r#"SELECT i.id, i.hostname, i.lifecycle, i.desired_power, i.observed_power, i.address, n.public_host, n.name AS node,
                  i.updated_at,
                  CASE WHEN p.port IS NULL THEN NULL
                       ELSE json_build_object('name', p.name, 'protocol', p.protocol, 'port', p.port) END
                      AS "port?: Json<AllocatedPort>",
                  b.body->'ports'->0->>'service' AS service,
                  EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL) AS "on_hold!",
                  s.heard_at AS "heard_at?", o.id AS "operation?", o.kind AS "kind?", o.state AS "state?",
                  o.lease_expires_at, o.run_after AS "run_after?", clock_timestamp() AS "now!"
           FROM instances i
           JOIN nodes n ON n.id = i.node_id
           JOIN blueprint_versions b ON b.id = i.blueprint_version
           LEFT JOIN port_allocations p ON p.instance_id = i.id AND p.name = b.body->'ports'->0->>'name'
           LEFT JOIN operations o ON o.instance_id = i.id AND o.state IN ('queued', 'running', 'undoing', 'stuck')
           LEFT JOIN instance_status s ON s.instance_id = i.id
           WHERE i.lifecycle <> 'deleted' AND ($1::uuid IS NULL OR i.id = $1)"#,
        only.map(|id| id.0),
    )
    .fetch_all(db.pool())
    .await?;
    let now = match found.first() {
        Some(first) => first.now,
        None => sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(db.pool()).await?,
    };
    Ok((found.into_iter().map(Row::try_from).collect::<Result<_, _>>()?, now))
}

impl TryFrom<Found> for Row {
    type Error = StoreError;

    fn try_from(row: Found) -> Result<Self, StoreError> {
        let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("instances", e);
        let id = InstanceId(row.id);
        let active = match (row.operation, row.kind, row.state, row.run_after) {
            (Some(operation), Some(kind), Some(state), Some(run_after)) => Some(OperationFacts {
                id: OperationId(operation),
                kind: kind.parse().map_err(corrupt)?,
                state: state.parse::<OperationState>().map_err(corrupt)?,
                lease_expires_at: row.lease_expires_at,
                run_after,
            }),
            _ => None,
        };
        let publication = row.port.map(|port| Publication {
            instance_id: id,
            hostname: row.hostname.clone(),
            node_host: row.public_host,
            port: port.0,
            service: row.service,
        });
        let facts = InstanceFacts {
            id,
            hostname: row.hostname,
            lifecycle: row.lifecycle.parse().map_err(corrupt)?,
            desired_power: row.desired_power.parse().map_err(corrupt)?,
            observed_power: row.observed_power.parse().map_err(corrupt)?,
            node: row.node,
            changed_at: row.updated_at,
            on_hold: row.on_hold,
            heard_at: row.heard_at,
            active,
            entries: None,
        };
        Ok(Self { facts, publication, address: row.address })
    }
}

/// Every node with what its engine has.
pub async fn nodes(db: &Db) -> Result<Vec<NodeFacts>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT n.name AS "name!", n.cordoned AS "cordoned!", n.created_at AS "created_at!",
                  r.reported_at AS "reported_at?", r.listed_at, r.error,
                  coalesce(r.containers, '{}') AS "containers!", coalesce(r.unmarked, '{}') AS "unmarked!"
           FROM nodes n LEFT JOIN node_reports r ON r.node_id = n.id"#
    )
    .fetch_all(db.pool())
    .await?;
    let facts = rows.into_iter().map(|row| NodeFacts {
        name: row.name,
        cordoned: row.cordoned,
        known_since: row.created_at,
        reported_at: row.reported_at,
        listed_at: row.listed_at,
        error: row.error,
        containers: row.containers.into_iter().map(InstanceId).collect(),
        unmarked: row.unmarked.into_iter().map(InstanceId).collect(),
    });
    Ok(facts.collect())
}

/// What is known of the storage of backups.
pub async fn storage(db: &Db) -> Result<StorageFacts, StoreError> {
    let row = sqlx::query!("SELECT reported_at, compared_at, error, report FROM storage_report")
        .fetch_one(db.pool())
        .await?;
    let report = serde_json::from_value(row.report).map_err(|e| StoreError::corrupt("storage_report", e))?;
    Ok(StorageFacts { reported_at: row.reported_at, compared_at: row.compared_at, error: row.error, report })
}

/// What is known of Stripe's events.
pub async fn payments(db: &Db) -> Result<PaymentFacts, StoreError> {
    let row = sqlx::query!(
        r#"SELECT s.backfilled_at, s.backfill_found, s.endpoint_problem, w.waiting AS "waiting!", w.since,
                  (SELECT t.last_error FROM billing_tasks t JOIN stripe_events e ON e.id = t.event_id
                   WHERE e.processed_at IS NULL AND t.last_error IS NOT NULL ORDER BY e.received_at LIMIT 1) AS error
           FROM billing_status s,
                (SELECT count(*) AS waiting, min(received_at) AS since FROM stripe_events WHERE processed_at IS NULL) w"#
    )
    .fetch_one(db.pool())
    .await?;
    Ok(PaymentFacts {
        compared_at: row.backfilled_at,
        lost: row.backfill_found.unwrap_or_default(),
        endpoint_problem: row.endpoint_problem,
        waiting: row.waiting,
        waiting_since: row.since,
        error: row.error,
    })
}

/// Of these instances those that have a row that is deleted, with the time when it was.
pub async fn deleted(db: &Db, ids: &[InstanceId]) -> Result<HashMap<InstanceId, DateTime<Utc>>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "SELECT id, updated_at FROM instances WHERE id = ANY ($1) AND lifecycle = 'deleted'",
        &ids
    );
    let rows = rows.fetch_all(db.pool()).await?;
    Ok(rows.into_iter().map(|row| (InstanceId(row.id), row.updated_at)).collect())
}

/// Ports that are kept for servers that are gone.
pub async fn lost_ports(db: &Db) -> Result<Vec<LostPort>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT n.name AS node, p.port, i.id, i.hostname, i.lifecycle
           FROM port_allocations p
           JOIN instances i ON i.id = p.instance_id AND i.lifecycle IN ('deleted', 'failed')
           JOIN nodes n ON n.id = p.node_id
           WHERE NOT EXISTS (SELECT FROM operations o WHERE o.instance_id = i.id
                             AND o.state IN ('queued', 'running', 'undoing', 'stuck'))
           ORDER BY n.name, p.port LIMIT 1000"#
    );
    let rows = rows.fetch_all(db.pool()).await?;
    let lost = rows.into_iter().map(|row| LostPort {
        node: row.node,
        port: u16::try_from(row.port).unwrap_or_default(),
        instance: InstanceId(row.id),
        hostname: row.hostname,
        lifecycle: row.lifecycle,
    });
    Ok(lost.collect())
}
