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
        ("zlh_controller", "UPDATE storage_report SET error = ''"),
        ("zlh_controller", "SELECT * FROM backups"),
        ("zlh_repair", "DELETE FROM operations"),
        ("zlh_repair", "DELETE FROM repairs"),
        ("zlh_repair", "UPDATE repair_events SET outcome = 'repaired'"),
        ("zlh_repair", "INSERT INTO operations SELECT * FROM operations"),
        ("zlh_repair", "UPDATE operations SET state = 'failed'"),
        ("zlh_repair", "UPDATE instances SET lifecycle = 'deleted'"),
        ("zlh_repair", "INSERT INTO repairs SELECT * FROM repairs"),
        ("zlh_repair", "UPDATE controller SET mode = 'level1'"),
        ("zlh_repair", "SELECT * FROM customers"),
        ("zlh_billing", "SELECT password_hash FROM customers"),
        ("zlh_billing", "SELECT * FROM sessions"),
        ("zlh_billing", "DELETE FROM instances"),
        ("zlh_billing", "DELETE FROM backups"),
        ("zlh_billing", "DELETE FROM stripe_events"),
        ("zlh_billing", "DELETE FROM billing_tasks"),
        ("zlh_billing", "TRUNCATE invoices"),
        ("zlh_billing", "UPDATE instances SET lifecycle = 'deleting'"),
        ("zlh_billing", "UPDATE instances SET desired_power = 'stopped'"),
        ("zlh_billing", "UPDATE backups SET state = 'deleted'"),
        ("zlh_billing", "INSERT INTO operations SELECT * FROM operations"),
        ("zlh_billing", "UPDATE operations SET kind = 'delete'"),
        ("zlh_billing", "INSERT INTO holds SELECT * FROM holds"),
        ("zlh_billing", "UPDATE holds SET lifted_at = now()"),
        ("zlh_billing", "INSERT INTO power_requests SELECT * FROM power_requests"),
        ("zlh_billing", "SELECT ask_for_power(gen_random_uuid(), 'start', 'x')"),
        ("zlh_billing", "SELECT reserve_capacity(gen_random_uuid(), gen_random_uuid(), '[]', now())"),
        ("zlh_billing", "UPDATE entitlement_grants SET quantity = 1"),
        ("zlh_billing", "UPDATE nodes SET memory_mib = 1"),
        ("zlh_billing", "UPDATE port_allocations SET instance_id = NULL"),
        ("zlh_billing", "DROP TABLE instances"),
        ("zlh_api", "SELECT suspend_for_payment(gen_random_uuid(), 'x')"),
        ("zlh_api", "SELECT restore_after_payment(gen_random_uuid())"),
        ("zlh_api", "UPDATE billing_enforcement_states SET stage = 'suspended'"),
        ("zlh_api", "UPDATE subscriptions SET entitles = true"),
        ("zlh_api", "UPDATE stripe_events SET payload = '{}'"),
        ("zlh_api", "SELECT payload FROM notifications"),
        ("zlh_api", "UPDATE notifications SET state = 'pending'"),
        ("zlh_api", "UPDATE outbox_channels SET route = 'x'"),
        ("zlh_controller", "SELECT * FROM mailed_links"),
        ("zlh_controller", "DELETE FROM notifications"),
        ("zlh_controller", "SELECT retry_notification(gen_random_uuid())"),
        ("zlh_billing", "SELECT recipient FROM notifications"),
        ("zlh_api", "UPDATE controller SET term = 1"),
        ("zlh_api", "UPDATE controller SET breaker = NULL"),
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

/// Even with the functions that it may call: only a customer whose stage says so is stopped or given back, and nothing but that.
#[tokio::test]
async fn billing_stops_and_starts_only_whom_the_stage_names() {
    let database = TestDatabase::create().await;
    let customer = "INSERT INTO customers (id, email, display_name, password_hash, instance_limit, created_at, updated_at)
                    VALUES ('00000000-0000-4000-8000-000000000001', 'a@example.com', 'a', 'x', 1, now(), now());
                    INSERT INTO billing_enforcement_states (customer_id) VALUES ('00000000-0000-4000-8000-000000000001')";
    database.execute(customer).await;
    let suspend = "SELECT suspend_for_payment('00000000-0000-4000-8000-000000000001', 'x')";
    let restore = "SELECT restore_after_payment('00000000-0000-4000-8000-000000000001')";
    let refused = database.try_execute_as("zlh_billing", suspend).await.unwrap_err();
    assert!(refused.contains("is not suspended"), "{refused}");
    database.try_execute_as("zlh_billing", restore).await.unwrap();
    database.execute("UPDATE billing_enforcement_states SET stage = 'suspended'").await;
    database.try_execute_as("zlh_billing", suspend).await.unwrap();
    let refused = database.try_execute_as("zlh_billing", restore).await.unwrap_err();
    assert!(refused.contains("is suspended"), "{refused}");
    for action in ["kill", "restart", "delete"] {
        let asked = format!("SELECT ask_for_power(gen_random_uuid(), '{action}', 'x')");
        let refused = database.try_execute(&asked).await.unwrap_err();
        assert!(refused.contains("not asked for because of a payment"), "{refused}");
    }
}

#[tokio::test]
async fn not_even_the_owner_changes_what_enforcement_did() {
    let database = TestDatabase::create().await;
    for sql in ["UPDATE billing_enforcement_events SET cause = 'x'", "DELETE FROM billing_enforcement_events"]
    {
        // A row trigger needs a row.
        let rows = "INSERT INTO customers (id, email, display_name, password_hash, instance_limit, created_at, updated_at)
                    VALUES (gen_random_uuid(), gen_random_uuid() || '@example.com', 'a', 'x', 1, now(), now());
                    INSERT INTO billing_enforcement_events (id, customer_id, kind, cause, actor)
                    SELECT gen_random_uuid(), id, 'stage', 'x', 'x' FROM customers";
        database.execute(rows).await;
        let refused = database.try_execute(sql).await.unwrap_err();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
}
