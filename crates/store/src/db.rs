//! The connection pool.

use std::{str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::StoreError;

/// Longest run of one statement, as the server enforces it. Nothing of ours takes a tenth of it.
const STATEMENT_TIMEOUT: &str = "10s";

/// Idle for longer than this, a connection is asked whether it lives before it is used. Those in constant use are not:
/// the question is a round trip.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A statement's plan is made once per connection. Every statement here has one shape for all of its arguments, and
/// planning `allocate_ports` anew took longer than running it.
const PLANS: (&str, &str) = ("plan_cache_mode", "force_generic_plan");

/// A daemon's connections to Postgres, under the daemon's own role.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
}

impl Db {
    /// Makes a pool of at most `max_connections`. Connects lazily: a daemon starts, answers and waits while Postgres
    /// is away. A call waits at most `acquire_timeout` for a connection.
    pub fn connect_lazy(
        url: &SecretString,
        daemon: &str,
        max_connections: u32,
        acquire_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url.expose_secret())?.application_name(daemon).options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("timezone", "UTC"),
            PLANS,
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .min_connections(0)
            .acquire_timeout(acquire_timeout)
            .idle_timeout(Duration::from_mins(5))
            .test_before_acquire(false)
            .before_acquire(|connection, use_so_far| {
                Box::pin(async move {
                    if use_so_far.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Whether Postgres answers; for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!("SELECT 1 AS \"one!\"").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Closes the pool once its calls are done.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}
