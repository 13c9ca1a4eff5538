-- The room that a change of plan takes on its server's node beside what the server has: 1 takes it (ZL001 if the node has not that
-- much), -1 gives it back. A dimension that becomes smaller takes nothing.
CREATE OR REPLACE FUNCTION plan_change_room(change uuid, direction integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE nodes n SET
        used_memory_mib = n.used_memory_mib + direction * greatest(c.to_memory_mib - c.from_memory_mib, 0),
        used_cpu_percent = n.used_cpu_percent + direction * greatest(c.to_cpu_percent - c.from_cpu_percent, 0),
        used_disk_mib = n.used_disk_mib + direction * greatest(c.to_disk_mib - c.from_disk_mib, 0)
    FROM plan_changes c JOIN instances i ON i.id = c.instance_id
    WHERE c.id = change AND n.id = i.node_id AND (direction < 0
        OR (n.used_memory_mib + greatest(c.to_memory_mib - c.from_memory_mib, 0) <= n.memory_mib
            AND n.used_cpu_percent + greatest(c.to_cpu_percent - c.from_cpu_percent, 0) <= n.cpu_percent
            AND n.used_disk_mib + greatest(c.to_disk_mib - c.from_disk_mib, 0) <= n.disk_mib));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no room' USING ERRCODE = 'ZL001';
    END IF;
END $$;

REVOKE EXECUTE ON FUNCTION plan_change_room FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plan_change_room TO zlh_api, zlh_provision;
