-- Gives back the room that was kept for a purchase; without one, all that was kept for longer than it was to be. How many
-- servers' it was.
CREATE OR REPLACE FUNCTION release_reservations(checkout uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    it record;
    released integer := 0;
BEGIN
    FOR it IN
        UPDATE capacity_reservations r SET released_at = clock_timestamp()
        WHERE r.released_at IS NULL
          AND (r.checkout_id = checkout OR (checkout IS NULL AND r.expires_at < clock_timestamp()))
        RETURNING r.node_id, r.memory_mib, r.cpu_percent, r.disk_mib
    LOOP
        UPDATE nodes n SET used_memory_mib = n.used_memory_mib - it.memory_mib,
            used_cpu_percent = n.used_cpu_percent - it.cpu_percent, used_disk_mib = n.used_disk_mib - it.disk_mib
        WHERE n.id = it.node_id;
        released := released + 1;
    END LOOP;
    RETURN released;
END $$;

REVOKE EXECUTE ON FUNCTION release_reservations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION release_reservations TO zlh_api, zlh_billing;
