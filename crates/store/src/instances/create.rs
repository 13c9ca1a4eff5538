//! Asking for an instance: one transaction, one commit. Either everything is there (instance, ports, capacity,
//! operation, idempotency key, audit row) or nothing is.

use chrono::{DateTime, Utc};
use domain::{
    ids::{CustomerId, InstanceId, OperationId},
    instance::{InstanceKind, Protocol, Resources},
};
use sqlx::{error::DatabaseError, types::Json};

use crate::{
    Db, StoreError,
    events::Event,
    idempotency::{self, Claimed, KeyError, Requested},
    queue::Dispatch,
};

/// What `create_instance` raises when room or ports that it saw are gone at the write.
const NO_ROOM_ANY_MORE: &str = "ZL001";

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
    pub ports: &'a [PortRequest<'a>],
    /// When the customer accepted the EULA.
    pub eula_accepted_at: Option<DateTime<Utc>>,
    /// For the audit log.
    pub actor: &'a str,
    /// For the audit log.
    pub request_id: Option<&'a str>,
}

/// A port to allocate.
#[derive(Clone, Copy, Debug)]
pub struct PortRequest<'a> {
    /// Its name in the blueprint.
    pub name: &'a str,
    /// Transport.
    pub protocol: Protocol,
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
    /// Neither a subscription nor a grant has room for it.
    #[error("nothing that was bought or granted has room for another server of this plan")]
    NotEntitled,
    /// A payment is open for too long.
    #[error("a payment is open")]
    PaymentOpen,
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
        if error
            .as_database_error()
            .and_then(DatabaseError::code)
            .is_some_and(|code| code == NO_ROOM_ANY_MORE)
        {
            return Self::NoCapacity;
        }
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

impl From<KeyError> for CreateError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Reused => Self::KeyReused,
            KeyError::InProgress => Self::KeyInProgress,
        }
    }
}

/// Creates the rows of an instance and its operation, or says why not and leaves nothing.
pub async fn create(db: &Db, new: &NewInstance<'_>, now: DateTime<Utc>) -> Result<Requested, CreateError> {
    for _ in 1..PLACEMENT_TRIES {
        match try_create(db, new, now).await {
            Err(CreateError::NoCapacity) => {}
            outcome => return outcome,
        }
    }
    try_create(db, new, now).await
}

/// One call of `create_instance` (`migrations/functions`), which is one transaction. Statement by statement it was 13 round
/// trips.
async fn try_create(db: &Db, new: &NewInstance<'_>, now: DateTime<Utc>) -> Result<Requested, CreateError> {
    let names: Vec<String> = new.ports.iter().map(|port| port.name.to_owned()).collect();
    let protocols: Vec<String> = new.ports.iter().map(|port| port.protocol.to_string()).collect();
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", earlier_operation, instance_limit
           FROM create_instance($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
        Json(columns(new)) as _,
        &names,
        &protocols,
        new.key,
        &new.body_hash,
        new.actor,
        new.request_id,
        now,
        idempotency::life(),
    )
    .fetch_one(db.pool())
    .await?;
    if let Some(claimed) = idempotency::outcome(&row.outcome, row.earlier_operation) {
        return Ok(match claimed? {
            Claimed::Replayed(earlier) => Requested::Replayed(earlier),
            Claimed::New => {
                let event = Event::of_operation(new.customer_id, new.instance_id, new.operation_id);
                Requested::New(Dispatch::new(new.operation_id, Some(event)))
            }
        });
    }
    match (row.outcome.as_str(), row.instance_limit) {
        ("no_account", _) => Err(CreateError::NoAccount),
        ("limit_reached", Some(limit)) => Err(CreateError::LimitReached(limit)),
        ("not_entitled", _) => Err(CreateError::NotEntitled),
        ("payment_open", _) => Err(CreateError::PaymentOpen),
        ("no_capacity", _) => Err(CreateError::NoCapacity),
        (other, _) => Err(StoreError::corrupt("create_instance", other).into()),
    }
}

/// The row, by its columns' names.
fn columns(new: &NewInstance<'_>) -> serde_json::Value {
    serde_json::json!({
        "id": new.instance_id,
        "operation_id": new.operation_id,
        "customer_id": new.customer_id,
        "name": new.name,
        "hostname": new.hostname,
        "kind": new.kind.as_str(),
        "blueprint": new.blueprint,
        "blueprint_version": new.blueprint_version,
        "variant": new.variant,
        "version": new.version,
        "plan": new.plan,
        "memory_mib": new.resources.memory_mib,
        "cpu_percent": new.resources.cpu_percent,
        "disk_mib": new.resources.disk_mib,
        "eula_accepted_at": new.eula_accepted_at,
    })
}
