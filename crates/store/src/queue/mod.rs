//! The queues: signals, not records. A job is a row's id and says "look now"; what happened to it is the row.
//!
//! Measured of apalis-redis 1.0 and the reason for the choices here: a plain `Err` is retried about 25 times
//! whatever is configured, so jobs return Ok; prefetched jobs stop heartbeats, so a batch is one; a worker that
//! restarts under its old name fails, so names are never used twice; the backend alone looks only at its heartbeat,
//! so NOTIFY wakes it; a flush of Redis ends the worker's future, so it is made anew.

mod consumer;
mod notifier;

use std::{fmt, marker::PhantomData, time::Duration};

use apalis_redis::{Config, ConnectionManager, RedisStorage};
use redis::aio::ConnectionManagerConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};

pub use consumer::{Consumer, ConsumerState, OnJob};
pub use notifier::{Dispatch, Notifier, notify_now};

use crate::StoreError;

/// Deadline for one command.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Deadline for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Channel on which a queue's name is announced after a push.
pub(crate) const WAKE_CHANNEL: &str = "zlh_queue";

/// Deadlines of a connection to Redis.
pub(crate) fn settings() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(500))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
}

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueName {
    /// Operations, for provision-worker.
    Provisioning,
    /// Repairs, for repair-worker.
    Repair,
    /// Enforcement of payment, for billing-worker.
    BillingEnforcement,
}

impl QueueName {
    /// Its name in Redis, under the installation's prefix, and in NOTIFY.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Repair => "repair",
            Self::BillingEnforcement => "billing_enforcement",
        }
    }
}

/// What lies in a queue: the id of a row, and nothing else.
pub trait JobId: Copy + fmt::Display + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static {}

impl<T> JobId for T where T: Copy + fmt::Display + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static
{}

/// Work that waits for a worker. For the sweep and for metrics: the queue itself has no timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Rows that are due and that nobody has claimed.
    pub due: i64,
    /// Age of the oldest of them in seconds.
    pub oldest_seconds: f64,
    /// Rows that need a person.
    pub stuck: i64,
}

/// A connection to a queue of rows with this id. Connects lazily and again by itself.
pub struct Queue<Id> {
    name: QueueName,
    client: redis::Client,
    connection: ConnectionManager,
    config: Config,
    id: PhantomData<fn() -> Id>,
}

impl<Id> Clone for Queue<Id> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            client: self.client.clone(),
            connection: self.connection.clone(),
            config: self.config.clone(),
            id: PhantomData,
        }
    }
}

impl<Id> fmt::Debug for Queue<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<Id: JobId> Queue<Id> {
    /// Prepares a connection; nothing is sent yet. `prefix` keeps installations on one Redis apart.
    pub fn new(url: &SecretString, prefix: &str, name: QueueName) -> Result<Self, StoreError> {
        let client = redis::Client::open(url.expose_secret()).map_err(queue_error)?;
        let connection = client.get_connection_manager_lazy(settings()).map_err(queue_error)?;
        let config = Config::default()
            .queue(format!("{prefix}:{}", name.as_str()))
            .batch_size(1)
            .heartbeat_interval(Duration::from_secs(5))
            .missed_heartbeats(3)
            .lock_tasks(false)
            .emit_events(false);
        Ok(Self { name, client, connection, config, id: PhantomData })
    }

    /// Which queue it is.
    pub fn name(&self) -> QueueName {
        self.name
    }

    /// Whether Redis answers; for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        redis::cmd("PING").query_async::<()>(&mut connection).await.map_err(queue_error)
    }

    /// Jobs that no worker has fetched yet.
    pub async fn depth(&self) -> Result<i64, StoreError> {
        let mut connection = self.connection.clone();
        let (listed, scheduled): (i64, i64) = redis::pipe()
            .cmd("LLEN")
            .arg(self.config.active_jobs_list())
            .cmd("ZCARD")
            .arg(self.config.scheduled_jobs_set())
            .query_async(&mut connection)
            .await
            .map_err(queue_error)?;
        Ok(listed + scheduled)
    }

    /// Puts jobs into the queue. Whether a worker hears of it now is the [`Notifier`]'s.
    pub async fn push(&self, rows: &[Id]) -> Result<(), StoreError> {
        use apalis_core::backend::TaskSink;
        let mut storage = self.storage(self.connection.clone());
        for row in rows {
            storage.push(*row).await.map_err(queue_error)?;
        }
        Ok(())
    }

    /// Removes finished jobs from Redis; they say nothing that a row does not say.
    pub async fn sweep_finished(&self) -> Result<(), StoreError> {
        use apalis_core::backend::Vacuum;
        let mut storage = self.storage(self.connection.clone());
        storage.vacuum().await.map_err(queue_error)?;
        Ok(())
    }

    fn storage(&self, connection: ConnectionManager) -> RedisStorage<Id> {
        RedisStorage::new(connection).with_config(self.config.clone())
    }
}

pub(crate) fn queue_error(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Queue(Box::new(error))
}
