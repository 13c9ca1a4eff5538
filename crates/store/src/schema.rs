//! The schema: migrations, and after them the SQL functions.
//!
//! A migration runs once. A function lives in a file of its own (`migrations/functions/NAME.sql`) with what belongs to it:
//! who may call it, the trigger that calls it. The file is edited in place, so that a change shows as a diff, and is
//! applied again whenever its content differs from what was applied last. It must bear being applied twice. Rights that it
//! grants stay when it is applied again: one that is to go is revoked there. A function that is not needed any more is
//! dropped by a migration.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Transaction, error::DatabaseError};

use crate::{Db, StoreError};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Any number; one process applies functions at a time.
const LOCK: i64 = 7_305_808_865_294_101;

/// What was applied, with the checksum of its file.
const TABLE: &str = "CREATE TABLE schema_functions (
    name       text PRIMARY KEY,
    checksum   bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

struct Function {
    name: &'static str,
    sql: &'static str,
}

macro_rules! functions {
    ($($name:literal),+ $(,)?) => {
        &[$(Function {
            name: $name,
            sql: include_str!(concat!("../../../migrations/functions/", $name, ".sql")),
        }),+]
    };
}

/// All of them.
const FUNCTIONS: &[Function] = functions![
    "actor_name",
    "announce_hold",
    "announce_instance",
    "announce_operation",
    "ask_for_power",
    "audit_log_is_append_only",
    "begin_next_operation",
    "billing_events_are_append_only",
    "cancel_operation",
    "claim_idempotency_key",
    "create_instance",
    "instances_beyond",
    "plan_change_room",
    "release_reservations",
    "request_verification",
    "reserve_capacity",
    "restore_after_payment",
    "resume_operation",
    "retry_notification",
    "suspend_for_payment",
];

/// Brings the schema to this version. Needs the owner's role; daemons do not have it.
pub async fn migrate(owner: &Db) -> Result<(), StoreError> {
    let mut connection = owner.pool().acquire().await?;
    migrate_connection(&mut connection).await
}

/// [`migrate`] on one connection.
pub(crate) async fn migrate_connection(connection: &mut PgConnection) -> Result<(), StoreError> {
    MIGRATOR.run(&mut *connection).await?;
    apply_functions(connection).await
}

/// Names the schema of this build, for the tests' template.
#[cfg(feature = "testing")]
pub(crate) fn schema_version() -> String {
    let mut hash = Sha256::new();
    for migration in MIGRATOR.iter() {
        hash.update(&migration.checksum);
    }
    for function in FUNCTIONS {
        hash.update(function.checksum());
    }
    hex::encode(&hash.finalize()[..8])
}

/// Applies those whose content has changed, all or none.
async fn apply_functions(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut tx = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    let applied = applied(&mut tx).await?;
    for function in FUNCTIONS {
        if applied.get(function.name).is_some_and(|checksum| *checksum == function.checksum()) {
            continue;
        }
        function
            .apply(&mut tx)
            .await
            .map_err(|source| StoreError::Function { name: function.name, source })?;
    }
    tx.commit().await?;
    Ok(())
}

async fn applied(tx: &mut PgConnection) -> Result<HashMap<String, Vec<u8>>, StoreError> {
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('schema_functions') IS NOT NULL").fetch_one(&mut *tx).await?;
    if !there {
        sqlx::query(TABLE).execute(&mut *tx).await?;
    }
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT name, checksum FROM schema_functions").fetch_all(tx).await?;
    Ok(rows.into_iter().collect())
}

impl Function {
    fn checksum(&self) -> [u8; 32] {
        Sha256::digest(self.sql).into()
    }

    async fn apply(&self, tx: &mut Transaction<'_, Postgres>) -> Result<(), sqlx::Error> {
        if !self.replace(tx).await? {
            self.drop_former(tx).await?;
            if !self.replace(tx).await? {
                let why = format!("the file of {0} does not make one function that is called {0}", self.name);
                return Err(sqlx::Error::Configuration(why.into()));
            }
        }
        sqlx::query(
            "INSERT INTO schema_functions (name, checksum) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = excluded.applied_at",
        )
        .bind(self.name)
        .bind(self.checksum().as_slice())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Runs the file. `false`, and nothing is changed, when it does not take the place of the function that is there: its
    /// arguments or its result are others.
    async fn replace(&self, tx: &mut Transaction<'_, Postgres>) -> Result<bool, sqlx::Error> {
        let mut savepoint = tx.begin().await?;
        match sqlx::raw_sql(self.sql).execute(&mut *savepoint).await {
            Ok(_) => {}
            Err(error) if is_other_signature(&error) => {
                savepoint.rollback().await?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let alone = signatures(&mut savepoint, self.name).await?.len() == 1;
        if alone {
            savepoint.commit().await?;
        } else {
            savepoint.rollback().await?;
        }
        Ok(alone)
    }

    /// Drops whatever has its name, unless something depends on it: that is an error. A trigger's function has no
    /// arguments and one result, and never comes here.
    async fn drop_former(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        for signature in signatures(tx, self.name).await? {
            let drop = AssertSqlSafe(format!("DROP FUNCTION {signature}"));
            sqlx::raw_sql(drop).execute(&mut *tx).await?;
        }
        Ok(())
    }
}

/// The functions with this name, as SQL writes them.
async fn signatures(connection: &mut PgConnection, name: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = $1",
    )
    .bind(name)
    .fetch_all(connection)
    .await
}

/// `CREATE OR REPLACE` cannot change the result or the arguments' names (42P13), and with other arguments makes a second
/// function, after which its bare name is ambiguous (42725).
fn is_other_signature(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code == "42P13" || code == "42725")
}
