//! A database of its own for each test, copied from a template that is migrated once per version of the schema.

pub mod noop;

use std::{path::PathBuf, time::Duration};

use domain::ids::OperationId;
pub use secrecy::ExposeSecret;
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::{Db, StoreError, nodes, operations, schema};

/// Where the tests' PostgreSQL is: a superuser's URL. `cargo xtask test` sets it.
pub const DATABASE_ENV: &str = "ZLH_TEST_DATABASE_URL";

/// Where the tests' Redis is.
pub const REDIS_ENV: &str = "ZLH_TEST_REDIS_URL";

/// Any number; one place makes the template at a time.
const TEMPLATE_LOCK: i64 = 7_305_808_865_294_100;

/// A migrated, empty database that is dropped with the cluster.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    options: PgConnectOptions,
}

/// The value of a variable that `cargo xtask test` sets.
pub fn required(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests by `cargo xtask test`"))
}

impl TestDatabase {
    /// Makes a database.
    pub async fn create() -> Self {
        let server: PgConnectOptions = required(DATABASE_ENV).parse().expect("a database URL");
        let mut admin = server.clone().connect().await.expect("the tests' PostgreSQL");
        let template = template(&server, &mut admin).await;
        Self::copy(&server, admin, &template).await
    }

    /// Makes a database without a schema.
    pub async fn empty() -> Self {
        let server: PgConnectOptions = required(DATABASE_ENV).parse().expect("a database URL");
        let admin = server.clone().connect().await.expect("the tests' PostgreSQL");
        Self::copy(&server, admin, "template0").await
    }

    async fn copy(server: &PgConnectOptions, mut admin: PgConnection, template: &str) -> Self {
        let name = format!("zlh_test_{}", Uuid::now_v7().simple());
        run(&mut admin, format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await;
        admin.close().await.ok();
        Self { options: server.clone().database(&name) }
    }

    /// Connections as one of the daemons' roles, such as `zlh_api`.
    pub fn role(&self, role: &str) -> Db {
        let url = self.url(role);
        Db::connect_lazy(&url, "test", 8, Duration::from_secs(5)).expect("a database URL")
    }

    /// Connections with these rights and no others, such as `SELECT ON nodes`: for what no daemon's role may yet. The role
    /// is the cluster's, and has its rights in this database.
    pub async fn role_with(&self, role: &str, rights: &str) -> Db {
        let url = self.url_with(role, rights).await;
        Db::connect_lazy(&url, "test", 8, Duration::from_secs(5)).expect("a database URL")
    }

    /// [`TestDatabase::role_with`] for processes that a test starts.
    pub async fn url_with(&self, role: &str, rights: &str) -> SecretString {
        let make = format!(
            "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             GRANT USAGE ON SCHEMA public TO {role}; GRANT {rights} TO {role}"
        );
        self.execute(&make).await;
        let url = self.options.to_url_lossy().to_string();
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}options[role]={role}").into()
    }

    /// Connections as the owner of the schema.
    pub fn owner(&self) -> Db {
        self.role(self.options.get_username())
    }

    /// The server's Unix socket.
    pub fn socket(&self) -> PathBuf {
        let folder =
            self.options.get_socket().expect("a server on a socket, as `cargo xtask test` starts it");
        folder.join(format!(".s.PGSQL.{}", self.options.get_port()))
    }

    /// The URL for a role, for processes that a test starts.
    pub fn url(&self, role: &str) -> SecretString {
        self.options.clone().username(role).to_url_lossy().to_string().into()
    }

    /// Runs a statement as the owner: for arranging what no function of the store does, such as time passed.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.options.connect().await.expect("the test's database");
        run(&mut connection, sql.to_owned()).await;
        connection.close().await.ok();
    }

    /// [`TestDatabase::execute`] for a statement that should be refused: the error's text.
    pub async fn try_execute(&self, sql: &str) -> Result<(), String> {
        self.try_execute_as(self.options.get_username(), sql).await
    }

    /// The same as one of the daemons' roles.
    pub async fn try_execute_as(&self, role: &str, sql: &str) -> Result<(), String> {
        let mut connection =
            self.options.clone().username(role).connect().await.expect("the test's database");
        let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await;
        connection.close().await.ok();
        outcome.map(|_| ()).map_err(|error| error.to_string())
    }

    /// One text, as the owner.
    pub async fn text(&self, sql: &str) -> String {
        let mut connection = self.options.connect().await.expect("the test's database");
        let text = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.close().await.ok();
        text
    }

    /// One number, as the owner.
    pub async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.options.connect().await.expect("the test's database");
        let count = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.close().await.ok();
        count
    }
}

async fn template(server: &PgConnectOptions, admin: &mut PgConnection) -> String {
    let name = format!("zlh_template_{}", schema::schema_version());
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut *admin)
        .await
        .expect("the lock");
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut *admin)
        .await
        .expect("the list of databases");
    if !there {
        let building = format!("{name}_building");
        run(admin, format!("DROP DATABASE IF EXISTS {building}")).await;
        run(admin, format!("CREATE DATABASE {building}")).await;
        let mut owner = server.clone().database(&building).connect().await.expect("the template");
        schema::migrate_connection(&mut owner).await.expect("the migrations");
        owner.close().await.expect("the template to be left");
        run(admin, format!("ALTER DATABASE {building} RENAME TO {name}")).await;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(admin).await.expect("the lock");
    name
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Claims an operation as a worker that has an engine for every node.
pub async fn claim(db: &Db, id: OperationId, owner: &str) -> Result<Option<operations::Claim>, StoreError> {
    let nodes = nodes::list(db).await?.iter().map(|node| node.id).collect::<Vec<_>>();
    operations::claim(db, id, owner, &nodes).await
}
