//! Asking for an instance: one transaction, one commit. Either everything is there (instance, ports, capacity,
//! operation, idempotency key, audit row) or nothing is.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ids::{CustomerId, InstanceId, NodeId, OperationId},
    instance::{InstanceKind, Protocol, Resources},
};
use sqlx::PgConnection;

use crate::{Db, StoreError};

/// How long a key names its operation, in hours.
const KEY_HOURS: i64 = 24;

/// How often a node is chosen: the room seen may be gone when it is taken, and another node may have some.
const PLACEMENT_TRIES: usize = 3;

/// What is asked for. Checked against catalogue and plan by the caller; entitlement, names, capacity and key are
/// checked here, where they can be held.
#[derive(Clone, Debug)]
pub struct NewInstance<'a> {
    /// Chosen by the caller: the mark on everything that is made.
    pub instance_id: InstanceId,
    /// Chosen by the caller.
    pub operation_id: OperationId,
    /// Owner.
    pub customer_id: CustomerId,
    /// The request's `Idempotency-Key`, 1–255 characters.
    pub key: &'a str,
    /// SHA-256 of what was asked for.
    pub body_hash: [u8; 32],
    /// Display name.
    pub name: &'a str,
    /// DNS label.
    pub hostname: &'a str,
    /// Kind.
    pub kind: InstanceKind,
    /// Blueprint id.
    pub blueprint: &'a str,
    /// Recorded content version.
    pub blueprint_version: &'a str,
    /// Variant id.
    pub variant: &'a str,
    /// Version of the software.
    pub version: &'a str,
    /// Plan id.
    pub plan: &'a str,
    /// Limits.
    pub resources: Resources,
    /// Ports to allocate, the agent's among them.
    pub ports: &'a [PortWish<'a>],
    /// When the customer accepted the EULA.
    pub eula_accepted_at: Option<DateTime<Utc>>,
    /// For the audit log.
    pub actor: &'a str,
    /// For the audit log.
    pub request_id: Option<&'a str>,
}

/// A port to allocate.
#[derive(Clone, Copy, Debug)]
pub struct PortWish<'a> {
    /// Its name in the blueprint.
    pub name: &'a str,
    /// Transport.
    pub protocol: Protocol,
}

/// What a create led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// New rows.
    New,
    /// The key was used before with the same body: that operation.
    Replayed(OperationId),
}

/// Why nothing was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The key was used with another body.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// A request with this key is being written.
    #[error("a request with this idempotency key is under way")]
    KeyInProgress,
    /// The account has as many live instances as it may.
    #[error("the account may have {0} servers")]
    LimitReached(i32),
    /// The customer has a live instance of that name.
    #[error("the name is taken")]
    NameTaken,
    /// Somebody has a live instance with that hostname.
    #[error("the hostname is taken")]
    HostnameTaken,
    /// No node has room, or ports.
    #[error("no node has room")]
    NoCapacity,
    /// The account is gone or disabled.
    #[error("the account cannot create servers")]
    NoAccount,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CreateError {
    fn from(error: sqlx::Error) -> Self {
        let error = StoreError::from(error);
        match error.constraint() {
            Some("instances_live_name") => Self::NameTaken,
            Some("instances_live_hostname") => Self::HostnameTaken,
            // Committed by another request between our look and our write.
            Some("idempotency_keys_pkey") => Self::KeyInProgress,
            _ => Self::Store(error),
        }
    }
}

/// Creates the rows of an instance and its operation, or says why not and leaves nothing.
///
/// The row locks of the account and the node are taken as late as they can be, so that they are held for little
/// more than the commit.
pub async fn create(db: &Db, new: &NewInstance<'_>, now: DateTime<Utc>) -> Result<Created, CreateError> {
    for _ in 1..PLACEMENT_TRIES {
        match try_create(db, new, now).await {
            Err(CreateError::NoCapacity) => {}
            outcome => return outcome,
        }
    }
    try_create(db, new, now).await
}

async fn try_create(db: &Db, new: &NewInstance<'_>, now: DateTime<Utc>) -> Result<Created, CreateError> {
    let mut tx = db.pool().begin().await?;
    match write(&mut tx, new, now).await {
        Ok(Created::New) => {
            tx.commit().await?;
            Ok(Created::New)
        }
        outcome => {
            // Not left to the drop, which rolls back some time later: the key's lock must be free for the next try.
            tx.rollback().await?;
            outcome
        }
    }
}

async fn write(
    tx: &mut PgConnection,
    new: &NewInstance<'_>,
    now: DateTime<Utc>,
) -> Result<Created, CreateError> {
    if let Some(operation) = claim_key(tx, new, now).await? {
        return Ok(Created::Replayed(operation));
    }
    check_entitlement(tx, new.customer_id).await?;
    let node = choose_node(tx, new.resources).await?.ok_or(CreateError::NoCapacity)?;
    insert_rows(tx, new, node, now).await?;
    allocate_ports(tx, new, node).await?;
    take_capacity(tx, new.resources, node).await?;
    Ok(Created::New)
}

/// Drops keys past their time. Returns how many.
pub async fn forget_old_keys(db: &Db, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let before = now - TimeDelta::hours(KEY_HOURS);
    let done =
        sqlx::query!("DELETE FROM idempotency_keys WHERE created_at < $1", before).execute(db.pool()).await?;
    Ok(done.rows_affected())
}

/// Takes the key for this transaction. `Some` is the operation that it named before.
async fn claim_key(
    tx: &mut PgConnection,
    new: &NewInstance<'_>,
    now: DateTime<Utc>,
) -> Result<Option<OperationId>, CreateError> {
    let lock_name = format!("idempotency:{}:{}", new.customer_id, new.key);
    let row = sqlx::query!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "got!",
                  k.operation_id AS "operation_id?", k.body_hash AS "body_hash?", k.created_at AS "created_at?"
           FROM (SELECT 1) one LEFT JOIN idempotency_keys k ON k.customer_id = $2 AND k.key = $3"#,
        lock_name,
        new.customer_id.0,
        new.key,
    )
    .fetch_one(&mut *tx)
    .await?;
    let (Some(operation), Some(hash), Some(created_at)) = (row.operation_id, row.body_hash, row.created_at)
    else {
        return if row.got { Ok(None) } else { Err(CreateError::KeyInProgress) };
    };
    if created_at >= now - TimeDelta::hours(KEY_HOURS) {
        let same = hash == new.body_hash;
        return if same { Ok(Some(OperationId(operation))) } else { Err(CreateError::KeyReused) };
    }
    if !row.got {
        return Err(CreateError::KeyInProgress);
    }
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE customer_id = $1 AND key = $2",
        new.customer_id.0,
        new.key
    )
    .execute(tx)
    .await?;
    Ok(None)
}

/// Locks the account, so that two requests cannot both be the last one allowed, then counts.
async fn check_entitlement(tx: &mut PgConnection, customer: CustomerId) -> Result<(), CreateError> {
    let limit = sqlx::query_scalar!(
        "SELECT instance_limit FROM customers WHERE id = $1 AND disabled_at IS NULL FOR NO KEY UPDATE",
        customer.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(CreateError::NoAccount)?;
    let live = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM instances
           WHERE customer_id = $1 AND lifecycle IN ('provisioning', 'active', 'deleting')"#,
        customer.0,
    )
    .fetch_one(tx)
    .await?;
    if live < i64::from(limit) { Ok(()) } else { Err(CreateError::LimitReached(limit)) }
}

/// Best fit: the fullest node that still has room, so that large instances find room later.
async fn choose_node(tx: &mut PgConnection, want: Resources) -> Result<Option<NodeId>, CreateError> {
    let node = sqlx::query_scalar!(
        "SELECT id FROM nodes
         WHERE NOT cordoned AND memory_mib - used_memory_mib >= $1 AND cpu_percent - used_cpu_percent >= $2
           AND disk_mib - used_disk_mib >= $3
         ORDER BY memory_mib - used_memory_mib, id LIMIT 1",
        i64::from(want.memory_mib),
        i64::from(want.cpu_percent),
        i64::from(want.disk_mib),
    )
    .fetch_optional(tx)
    .await?;
    Ok(node.map(NodeId))
}

/// Instance, operation, key and audit row in one statement: one round trip on the hot path.
async fn insert_rows(
    tx: &mut PgConnection,
    new: &NewInstance<'_>,
    node: NodeId,
    now: DateTime<Utc>,
) -> Result<(), CreateError> {
    let size = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    sqlx::query!(
        r#"WITH instance AS (
               INSERT INTO instances (id, customer_id, name, hostname, kind, blueprint, blueprint_version, variant,
                   version, plan, memory_mib, cpu_percent, disk_mib, node_id, eula_accepted_at, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)
           ), operation AS (
               INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
               VALUES ($17, $1, $2, 'create', $16)
           ), key AS (
               INSERT INTO idempotency_keys (customer_id, key, body_hash, operation_id, created_at)
               VALUES ($2, $18, $19, $17, $16)
           )
           INSERT INTO audit_log (actor, action, customer_id, instance_id, request_id, detail)
           VALUES ($20, 'instance.create', $2, $1, $21, jsonb_build_object('operation', $17::uuid, 'plan', $10::text))"#,
        new.instance_id.0,
        new.customer_id.0,
        new.name,
        new.hostname,
        new.kind.as_str(),
        new.blueprint,
        new.blueprint_version,
        new.variant,
        new.version,
        new.plan,
        size(new.resources.memory_mib),
        size(new.resources.cpu_percent),
        size(new.resources.disk_mib),
        node.0,
        new.eula_accepted_at,
        now,
        new.operation_id.0,
        new.key,
        &new.body_hash,
        new.actor,
        new.request_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes free ports. Ports that another transaction is taking are passed over, not waited for.
async fn allocate_ports(
    tx: &mut PgConnection,
    new: &NewInstance<'_>,
    node: NodeId,
) -> Result<(), CreateError> {
    let names: Vec<String> = new.ports.iter().map(|port| port.name.to_owned()).collect();
    let protocols: Vec<String> = new.ports.iter().map(|port| port.protocol.to_string()).collect();
    let done = sqlx::query!(
        r#"WITH free AS (
               SELECT port FROM port_allocations WHERE node_id = $1 AND instance_id IS NULL
               ORDER BY released_at NULLS FIRST, port LIMIT cardinality($3::text[]) FOR UPDATE SKIP LOCKED
           ), numbered AS (
               SELECT port, row_number() OVER (ORDER BY port) AS n FROM free
           )
           UPDATE port_allocations p SET instance_id = $2, name = wish.name, protocol = wish.protocol
           FROM numbered JOIN unnest($3::text[], $4::text[]) WITH ORDINALITY AS wish (name, protocol, n) USING (n)
           WHERE p.node_id = $1 AND p.port = numbered.port"#,
        node.0,
        new.instance_id.0,
        &names,
        &protocols,
    )
    .execute(tx)
    .await?;
    if done.rows_affected() == new.ports.len() as u64 { Ok(()) } else { Err(CreateError::NoCapacity) }
}

/// Counts the instance into its node, under the node's row lock. Somebody may have taken the room since the look.
async fn take_capacity(tx: &mut PgConnection, want: Resources, node: NodeId) -> Result<(), CreateError> {
    let done = sqlx::query!(
        "UPDATE nodes SET used_memory_mib = used_memory_mib + $2, used_cpu_percent = used_cpu_percent + $3,
                used_disk_mib = used_disk_mib + $4
         WHERE id = $1 AND NOT cordoned AND used_memory_mib + $2 <= memory_mib
           AND used_cpu_percent + $3 <= cpu_percent AND used_disk_mib + $4 <= disk_mib",
        node.0,
        i64::from(want.memory_mib),
        i64::from(want.cpu_percent),
        i64::from(want.disk_mib),
    )
    .execute(tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(CreateError::NoCapacity) }
}
