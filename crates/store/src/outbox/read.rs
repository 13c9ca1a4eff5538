//! What waits in the outbox, and hearing that something was put there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::{Db, StoreError};

/// For how long nothing may leave a channel on which something waits.
pub const STALLED_AFTER: Duration = Duration::from_mins(2);

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

/// How a channel is doing.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Which channel.
    pub channel: String,
    /// Where it sends, without secrets; `None` while nothing is configured, and what is for it waits.
    pub route: Option<String>,
    /// When its settings were read; `None` if no process ever said so.
    pub configured_at: Option<DateTime<Utc>>,
    /// How many notifications are neither sent nor given up.
    pub waiting: i64,
    /// The oldest of them.
    pub oldest: Option<Uuid>,
    /// Since when it waits.
    pub oldest_at: Option<DateTime<Utc>>,
    /// When something was sent last.
    pub last_sent_at: Option<DateTime<Utc>>,
    /// Nothing has left for [`STALLED_AFTER`], though there was something to be sent and a way for it.
    pub stalled: bool,
    /// Why nothing on the channel can be sent, as it was said last.
    pub blocked_by: Option<String>,
}

/// How each channel is doing that is known, or has something waiting.
pub async fn standings(db: &Db) -> Result<Vec<Standing>, StoreError> {
    // What waits by right, such as for somebody's greylist, is no stall: only what was due for so long, or was refused for a
    // reason that is the whole channel's.
    let standings = sqlx::query_as!(
        Standing,
        r#"WITH waiting AS (
               SELECT channel, count(*) AS n, min(created_at) AS oldest_at,
                      (array_agg(id ORDER BY created_at, id))[1] AS oldest,
                      bool_or(blocked_since < clock_timestamp() - make_interval(secs => $1)
                              OR (run_after < clock_timestamp() - make_interval(secs => $1)
                                  AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp()))) AS late,
                      (array_agg(last_error ORDER BY blocked_since) FILTER (WHERE blocked_since IS NOT NULL))[1] AS blocked_by
               FROM notifications WHERE state = 'pending' GROUP BY channel
           )
           SELECT COALESCE(c.channel, w.channel) AS "channel!", c.route AS "route?", c.configured_at AS "configured_at?",
                  COALESCE(w.n, 0) AS "waiting!", w.oldest AS "oldest?", w.oldest_at AS "oldest_at?",
                  s.last_sent_at AS "last_sent_at?", w.blocked_by AS "blocked_by?",
                  COALESCE(w.late, false) AND (c.channel IS NULL OR c.route IS NOT NULL)
                      AND COALESCE(s.last_sent_at < clock_timestamp() - make_interval(secs => $1), true) AS "stalled!"
           FROM outbox_channels c FULL JOIN waiting w ON w.channel = c.channel
           LEFT JOIN LATERAL (SELECT max(sent_at) AS last_sent_at FROM notifications n
                              WHERE n.channel = COALESCE(c.channel, w.channel) AND n.state = 'sent') s ON true
           ORDER BY 1"#,
        STALLED_AFTER.as_secs_f64(),
    )
    .fetch_all(db.pool())
    .await?;
    Ok(standings)
}

/// Says where a channel sends from now on, or that nothing is configured for it.
pub async fn configured(db: &Db, channel: &str, route: Option<&str>) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO outbox_channels (channel, route) VALUES ($1, $2)
         ON CONFLICT (channel) DO UPDATE SET route = excluded.route, configured_at = clock_timestamp()",
        channel,
        route.map(|route| route.chars().take(300).collect::<String>()),
    )
    .execute(db.pool())
    .await?;
    Ok(())
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
