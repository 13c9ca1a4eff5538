//! The schema: what is applied, when, and how often.

use std::{collections::BTreeSet, fs, path::Path};

use futures_util::future::join_all;
use store::testing::TestDatabase;

use crate::fixture::Fixture;

/// Every function with its body, its rights and the row version of its catalogue entry, and when each was applied.
const STATE: &str = "SELECT string_agg(p.proname || p.xmin::text || p.prosrc || coalesce(p.proacl::text, ''), ';' ORDER BY p.proname)
    || (SELECT string_agg(name || applied_at::text, ';' ORDER BY name) FROM schema_functions)
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace";

async fn is_called(database: &TestDatabase, role: &str) -> bool {
    let sql = "SELECT request_verification(gen_random_uuid(), gen_random_uuid(), now())";
    database.try_execute_as(role, sql).await.is_ok()
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = TestDatabase::create().await;
    let before = database.text(STATE).await;
    store::migrate(&database.owner()).await.unwrap();
    assert_eq!(database.text(STATE).await, before);
}

#[tokio::test]
async fn every_functions_file_is_applied() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/functions");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let named: BTreeSet<_> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let database = TestDatabase::create().await;
    let applied = database.text("SELECT string_agg(name, ' ') FROM schema_functions").await;
    assert_eq!(applied.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), named);
}

#[tokio::test]
async fn a_function_is_applied_when_its_content_differs_from_what_was_applied_last() {
    let database = TestDatabase::create().await;
    let other = "CREATE OR REPLACE FUNCTION request_verification(operation uuid, backup uuid, at timestamptz)
        RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS 'SELECT true'";
    database.execute(other).await;
    let before = database.text(STATE).await;
    store::migrate(&database.owner()).await.unwrap();
    assert_eq!(database.text(STATE).await, before, "its file has not changed");
    database
        .execute("UPDATE schema_functions SET checksum = 'earlier' WHERE name = 'request_verification'")
        .await;
    store::migrate(&database.owner()).await.unwrap();
    let body = database.text("SELECT prosrc FROM pg_proc WHERE proname = 'request_verification'").await;
    assert!(body.contains("INSERT INTO operations"), "{body}");
}

#[tokio::test]
async fn a_function_with_other_arguments_or_another_result_is_replaced_with_its_rights() {
    let database = TestDatabase::create().await;
    for earlier in
        ["(operation uuid, backup uuid, at timestamptz) RETURNS text", "(operation uuid) RETURNS boolean"]
    {
        database.execute("DROP FUNCTION request_verification").await;
        let function = format!(
            "CREATE FUNCTION request_verification{earlier} LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        );
        database.execute(&function).await;
        database
            .execute("UPDATE schema_functions SET checksum = 'earlier' WHERE name = 'request_verification'")
            .await;
        store::migrate(&database.owner()).await.unwrap();
        let there = "SELECT count(*) FROM pg_proc WHERE proname = 'request_verification'";
        assert_eq!(database.count(there).await, 1, "{earlier}");
        assert!(is_called(&database, "zlh_provision").await, "{earlier}");
        assert!(!is_called(&database, "zlh_api").await, "{earlier}");
    }
}

#[tokio::test]
async fn what_is_applied_again_works_for_processes_that_are_connected() {
    let f = Fixture::new().await;
    f.create(|_| {}).await.2.unwrap();
    f.database.execute("UPDATE schema_functions SET checksum = 'earlier'").await;
    store::migrate(&f.database.owner()).await.unwrap();
    f.create(|_| {}).await.2.unwrap();
    // Made anew rather than replaced.
    f.database
        .execute("DROP FUNCTION create_instance; UPDATE schema_functions SET checksum = 'earlier'")
        .await;
    store::migrate(&f.database.owner()).await.unwrap();
    f.create(|_| {}).await.2.unwrap();
}

#[tokio::test]
async fn many_that_migrate_at_once_do_it_one_after_the_other() {
    let database = TestDatabase::empty().await;
    let owners: Vec<_> = (0..8).map(|_| database.owner()).collect();
    for _ in 0..2 {
        for migrated in join_all(owners.iter().map(store::migrate)).await {
            migrated.unwrap();
        }
        database.execute("UPDATE schema_functions SET checksum = 'earlier'").await;
    }
    database.execute("INSERT INTO audit_log (actor, action) VALUES ('test', 'test')").await;
    assert!(database.try_execute("DELETE FROM audit_log").await.is_err(), "the trigger is there");
}
