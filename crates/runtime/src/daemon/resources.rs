//! What a daemon is connected to: its database under its own role, and the queues.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use store::{
    Db,
    queue::{JobId, Notifier, Queue, QueueName},
};

use super::Context;
use crate::config::Common;

/// How long a check of readiness may take.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

/// What every daemon, and each of its commands, can connect to.
#[derive(Clone)]
pub struct Resources {
    pub(super) daemon: &'static str,
    pub(super) common: Arc<Common>,
}

impl Resources {
    /// The configuration that every daemon has.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// A pool of connections under the daemon's own role. Connects when it is used.
    pub fn database(&self) -> anyhow::Result<Db> {
        let section = &self.common.database;
        Db::connect_lazy(&section.url, self.daemon, section.max_connections, section.acquire_timeout())
            .context("database.url")
    }

    /// A queue. Connects when it is used.
    pub fn queue<Id: JobId>(&self, name: QueueName) -> anyhow::Result<Queue<Id>> {
        let section = &self.common.redis;
        Queue::new(&section.url, &section.queue_prefix, name).context("redis.url")
    }
}

impl Context {
    /// The daemon's pool of connections; while the database does not answer, the daemon is not ready.
    pub fn database(&self) -> anyhow::Result<Db> {
        let db = self.resources.database()?;
        let checked = db.clone();
        self.readiness.check("database", CHECK_DEADLINE, move || {
            let db = checked.clone();
            async move { db.ping().await }
        });
        Ok(db)
    }

    /// A queue. A [worker](crate::worker::start) of it is not ready while the queue cannot be reached; who only fills it
    /// is, since the sweep finds what did not reach it.
    pub fn queue<Id: JobId>(&self, name: QueueName) -> anyhow::Result<Queue<Id>> {
        self.resources.queue(name)
    }

    /// Tells the workers of a queue of committed work.
    pub fn notifier<Id: JobId>(&self, db: &Db, name: QueueName) -> anyhow::Result<Notifier<Id>> {
        Ok(Notifier::start(db.clone(), self.queue(name)?))
    }
}
