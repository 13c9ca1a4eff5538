-- Least privilege: each daemon has a role with exactly the rights that its code uses. Roles belong to the cluster,
-- so they may be there already; they get a password (or a certificate) outside the migrations. The right to call a
-- function is granted beside the function.
-- No role can DELETE an instance, an operation or an audit row.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['zlh_api', 'zlh_provision'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- No daemon needs temporary tables.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
GRANT USAGE ON SCHEMA public TO zlh_api, zlh_provision;

-- zpack-api: accounts, and asking for work. It never claims work and never ends it.
GRANT SELECT, INSERT ON customers, instances, operations, idempotency_keys, blueprint_versions, sessions, api_keys
    TO zlh_api;
GRANT UPDATE (display_name, password_hash, updated_at) ON customers TO zlh_api;
GRANT UPDATE (last_seen_at, expires_at), DELETE ON sessions TO zlh_api;
GRANT UPDATE (last_used_at, revoked_at) ON api_keys TO zlh_api;
GRANT DELETE ON idempotency_keys TO zlh_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON power_requests TO zlh_api;
GRANT UPDATE (name, desired_power, observed_power, lifecycle, row_version, updated_at, last_used_at)
    ON instances TO zlh_api;
GRANT SELECT ON nodes, port_allocations TO zlh_api;
GRANT UPDATE (used_memory_mib, used_cpu_percent, used_disk_mib, last_fresh_port) ON nodes TO zlh_api;
GRANT UPDATE (instance_id, name, protocol) ON port_allocations TO zlh_api;
GRANT SELECT ON holds, operation_steps TO zlh_api;
GRANT SELECT, INSERT ON backups TO zlh_api;
GRANT UPDATE (name, locked, state) ON backups TO zlh_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON schedules, schedule_runs TO zlh_api;
GRANT SELECT, INSERT, DELETE ON ide_tickets, ide_sessions TO zlh_api;
GRANT UPDATE (expires_at) ON ide_sessions TO zlh_api;
GRANT INSERT ON audit_log, notifications TO zlh_api;

-- provision-worker: claims operations, keeps their journal, moves instances through their lifecycle.
GRANT SELECT, UPDATE ON operations, instances, backups TO zlh_provision;
GRANT SELECT, INSERT, UPDATE ON operation_steps TO zlh_provision;
GRANT SELECT ON blueprint_versions, holds TO zlh_provision;
-- The start that an undone restore owes, unless something else was asked for since.
GRANT INSERT ON power_requests TO zlh_provision;
GRANT SELECT, INSERT, UPDATE ON nodes, port_allocations TO zlh_provision;
GRANT DELETE ON port_allocations TO zlh_provision;
-- A verification that nobody asked for keeps away from schedules.
GRANT SELECT (instance_id, action, next_run_at) ON schedules TO zlh_provision;
GRANT INSERT ON audit_log, notifications TO zlh_provision;
