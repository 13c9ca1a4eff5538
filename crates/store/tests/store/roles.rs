//! What the daemons' Postgres roles cannot do, whatever their code says.

use store::testing::TestDatabase;

#[tokio::test]
async fn roles_have_no_right_that_could_destroy_what_a_customer_has() {
    let database = TestDatabase::create().await;
    let statements = [
        ("zlh_api", "DELETE FROM instances"),
        ("zlh_api", "DELETE FROM operations"),
        ("zlh_api", "DELETE FROM customers"),
        ("zlh_api", "DELETE FROM port_allocations"),
        ("zlh_api", "DELETE FROM audit_log"),
        ("zlh_api", "UPDATE operations SET state = 'succeeded'"),
        ("zlh_api", "UPDATE operations SET lease_owner = 'me'"),
        ("zlh_api", "UPDATE operations SET enqueued_at = now()"),
        ("zlh_api", "UPDATE customers SET role = 'operator'"),
        ("zlh_api", "UPDATE customers SET instance_limit = 1000"),
        ("zlh_api", "UPDATE nodes SET memory_mib = 1"),
        ("zlh_api", "DROP TABLE instances"),
        ("zlh_api", "CREATE TABLE mine (id int)"),
        ("zlh_provision", "SELECT * FROM customers"),
        ("zlh_provision", "SELECT * FROM sessions"),
        ("zlh_provision", "SELECT * FROM api_keys"),
        ("zlh_provision", "DELETE FROM instances"),
        ("zlh_provision", "DELETE FROM operations"),
        (
            "zlh_provision",
            "INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
                           VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'delete', now())",
        ),
        ("zlh_provision", "SELECT * FROM schedules"),
        ("zlh_provision", "DELETE FROM schedule_runs"),
        ("zlh_api", "TRUNCATE schedules CASCADE"),
        ("zlh_provision", "DELETE FROM audit_log"),
        ("zlh_provision", "DELETE FROM backups"),
        ("zlh_provision", "INSERT INTO backups SELECT * FROM backups"),
        ("zlh_api", "DELETE FROM backups"),
        ("zlh_api", "UPDATE backups SET archive_sha256 = ''"),
        ("zlh_api", "UPDATE backups SET upload_id = ''"),
        ("zlh_controller", "DELETE FROM findings"),
        ("zlh_controller", "DELETE FROM instances"),
        ("zlh_controller", "UPDATE instances SET desired_power = 'stopped'"),
        ("zlh_controller", "UPDATE operations SET lease_owner = NULL"),
        ("zlh_controller", "INSERT INTO operations SELECT * FROM operations"),
        ("zlh_controller", "UPDATE repairs SET state = 'ended'"),
        ("zlh_controller", "INSERT INTO repair_events SELECT * FROM repair_events"),
        ("zlh_controller", "UPDATE holds SET lifted_at = now()"),
        ("zlh_controller", "SELECT * FROM customers"),
        ("zlh_repair", "DELETE FROM operations"),
        ("zlh_repair", "DELETE FROM repairs"),
        ("zlh_repair", "UPDATE repair_events SET outcome = 'repaired'"),
        ("zlh_repair", "INSERT INTO operations SELECT * FROM operations"),
        ("zlh_repair", "UPDATE operations SET state = 'failed'"),
        ("zlh_repair", "UPDATE instances SET lifecycle = 'deleted'"),
        ("zlh_repair", "INSERT INTO repairs SELECT * FROM repairs"),
        ("zlh_repair", "UPDATE controller SET mode = 'level1'"),
        ("zlh_repair", "SELECT * FROM customers"),
        ("zlh_api", "UPDATE findings SET closed_at = now()"),
        ("zlh_api", "INSERT INTO repairs SELECT * FROM repairs"),
        ("zlh_api", "SELECT request_verification(gen_random_uuid(), gen_random_uuid(), now())"),
    ];
    for (role, sql) in statements {
        let refused = database.try_execute_as(role, sql).await;
        assert!(
            refused.as_ref().is_err_and(|e| e.contains("permission denied") || e.contains("must be owner")),
            "{role}: {sql}: {refused:?}"
        );
    }
}

/// Unnamed, `pg_temp` comes first: a caller's temporary view would stand in for our table, its code running as the owner.
#[tokio::test]
async fn functions_with_their_owners_rights_look_at_a_callers_temporary_tables_last() {
    let database = TestDatabase::create().await;
    let check = "DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace)
           OR EXISTS (SELECT FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace
                      AND coalesce(array_to_string(proconfig, ','), '') NOT LIKE 'search_path=%pg_temp')
        THEN RAISE EXCEPTION 'a search path does not end with pg_temp'; END IF;
    END $$";
    database.execute(check).await;
}

#[tokio::test]
async fn not_even_the_owner_changes_the_audit_log() {
    let database = TestDatabase::create().await;
    database.execute("INSERT INTO audit_log (actor, action) VALUES ('test', 'test')").await;
    for sql in ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        let refused = database.try_execute(sql).await.unwrap_err();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    assert_eq!(database.count("SELECT count(*) FROM audit_log").await, 1);
}
