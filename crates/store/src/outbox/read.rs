//! What waits in the outbox, and hearing that something was put there.

use sqlx::postgres::PgListener;

use crate::{Db, StoreError};

/// What waits on a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Backlog {
    /// Which channel.
    pub channel: String,
    /// How many notifications are neither sent nor given up.
    pub pending: i64,
    /// Age of the oldest of them in seconds.
    pub oldest_seconds: f64,
}

/// What waits on each channel that has something waiting.
pub async fn backlog(db: &Db) -> Result<Vec<Backlog>, StoreError> {
    let backlog = sqlx::query_as!(
        Backlog,
        r#"SELECT channel, count(*) AS "pending!",
                  EXTRACT(EPOCH FROM clock_timestamp() - min(created_at))::float8 AS "oldest_seconds!"
           FROM notifications WHERE state = 'pending' GROUP BY channel ORDER BY channel"#
    )
    .fetch_all(db.pool())
    .await?;
    Ok(backlog)
}

/// A connection of its own that hears when the outbox is filled.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
}

impl Listener {
    /// Connects and listens.
    pub async fn connect(db: &Db) -> Result<Self, StoreError> {
        let mut inner = PgListener::connect_with(db.pool()).await?;
        inner.listen(super::CHANNEL).await?;
        Ok(Self { inner })
    }

    /// Waits until something was put into the outbox, or may have been while the connection was away. After an error the
    /// listener is to be made anew.
    pub async fn filled(&mut self) -> Result<(), StoreError> {
        self.inner.try_recv().await?;
        Ok(())
    }
}
