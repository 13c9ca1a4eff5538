//! What can go wrong with a row.

/// An error of the store. Absence is not an error: functions return `Option` for it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not do it. Whether it is away is [`StoreError::is_unavailable`].
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// A row holds something that the code does not know.
    #[error("a row of {table} cannot be read: {what}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// What.
        what: String,
    },
    /// Another process has taken the row over: nothing was written.
    #[error("the lease is lost")]
    LeaseLost,
    /// Redis did not take a job. The row is there; the sweep finds it.
    #[error("queue")]
    Queue(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A migration failed.
    #[error("migration")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A function's file cannot be applied.
    #[error("the SQL function {name}")]
    Function {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

/// What passes, by the beginning of its SQLSTATE (PostgreSQL, appendix A): connections, resources, shutdown and
/// starting up, our own statement timeout, a deadlock or a conflict of transactions, a lock not to be had, a standby that
/// is not promoted yet.
const PASSING: &[&str] = &["08", "53", "57P", "57014", "40", "55P03", "25006"];

impl StoreError {
    /// Whether the database is away (or starting, full, too slow) rather than displeased with the statement: try later.
    pub fn is_unavailable(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| PASSING.iter().any(|c| code.starts_with(c)))
            }
            _ => false,
        }
    }

    /// The constraint that a statement ran into, by its name in the migrations.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }

    pub(crate) fn corrupt(table: &'static str, what: impl std::fmt::Display) -> Self {
        Self::Corrupt { table, what: what.to_string() }
    }
}
