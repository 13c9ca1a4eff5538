//! Who leads: a lock in Redis that runs out unless it is renewed. It keeps two leaders apart in good times; in bad ones the term
//! in Postgres does.

use std::time::Duration;

use redis::{Script, aio::ConnectionManager};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{StoreError, queue::queue_error};

/// How long it holds without being renewed.
const HOLDS: Duration = Duration::from_secs(10);

/// Extends the lock, or lets go of it, if it is still this owner's.
const RENEW: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end";
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

/// The lock. Connects when it is used, and again by itself.
#[derive(Clone)]
pub struct Lock {
    connection: ConnectionManager,
    key: String,
    owner: String,
}

impl Lock {
    /// The lock of this installation; `owner` is unique per start of a process.
    pub fn new(url: &SecretString, prefix: &str, owner: &str) -> Result<Self, StoreError> {
        let client = redis::Client::open(url.expose_secret()).map_err(queue_error)?;
        let connection = client.get_connection_manager_lazy(crate::queue::settings()).map_err(queue_error)?;
        Ok(Self { connection, key: format!("{prefix}:controller"), owner: owner.to_owned() })
    }

    /// Takes it if nobody has it; whether it is ours now.
    pub async fn take(&self) -> Result<bool, StoreError> {
        let mut connection = self.connection.clone();
        let taken: Option<String> = redis::cmd("SET")
            .arg(&self.key)
            .arg(&self.owner)
            .arg("NX")
            .arg("PX")
            .arg(millis())
            .query_async(&mut connection)
            .await
            .map_err(queue_error)?;
        Ok(taken.is_some())
    }

    /// Keeps it; whether it was still ours.
    pub async fn renew(&self) -> Result<bool, StoreError> {
        self.run(RENEW).await
    }

    /// Lets go of it, so that another one leads at once.
    pub async fn release(&self) -> Result<bool, StoreError> {
        self.run(RELEASE).await
    }

    async fn run(&self, script: &str) -> Result<bool, StoreError> {
        let mut connection = self.connection.clone();
        let done: i64 = Script::new(script)
            .key(&self.key)
            .arg(&self.owner)
            .arg(millis())
            .invoke_async(&mut connection)
            .await
            .map_err(queue_error)?;
        Ok(done == 1)
    }
}

fn millis() -> u64 {
    u64::try_from(HOLDS.as_millis()).unwrap_or(u64::MAX)
}
