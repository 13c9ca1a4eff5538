-- Takes room for servers that are about to be paid for: `wanted` has one entry for each server, {plan, memory_mib, cpu_percent,
-- disk_mib}. Each goes where a create would put it: on the fullest node that has room. All or none (ZL001).
CREATE OR REPLACE FUNCTION reserve_capacity(customer uuid, checkout uuid, wanted jsonb, until timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    it record;
    node uuid;
BEGIN
    FOR it IN SELECT * FROM jsonb_to_recordset(wanted) AS w (plan text, memory_mib integer, cpu_percent integer, disk_mib integer)
    LOOP
        UPDATE nodes n SET used_memory_mib = n.used_memory_mib + it.memory_mib,
            used_cpu_percent = n.used_cpu_percent + it.cpu_percent, used_disk_mib = n.used_disk_mib + it.disk_mib
        WHERE n.id = (
            SELECT m.id FROM nodes m
            WHERE NOT m.cordoned AND m.memory_mib - m.used_memory_mib >= it.memory_mib
              AND m.cpu_percent - m.used_cpu_percent >= it.cpu_percent AND m.disk_mib - m.used_disk_mib >= it.disk_mib
            ORDER BY m.memory_mib - m.used_memory_mib, m.id LIMIT 1 FOR UPDATE)
        RETURNING n.id INTO node;
        IF node IS NULL THEN
            RAISE EXCEPTION 'no room' USING ERRCODE = 'ZL001';
        END IF;
        INSERT INTO capacity_reservations (id, customer_id, checkout_id, plan, node_id, memory_mib, cpu_percent, disk_mib, expires_at)
        VALUES (gen_random_uuid(), customer, checkout, it.plan, node, it.memory_mib, it.cpu_percent, it.disk_mib, until);
    END LOOP;
END $$;

REVOKE EXECUTE ON FUNCTION reserve_capacity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reserve_capacity TO zlh_api;
