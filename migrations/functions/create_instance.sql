-- Asking for an instance, in one round trip: seven statements that depend on one another, the account's and the node's
-- row locks held for no longer than their commit takes. Each statement sees what was committed before it (the function
-- is volatile, the isolation READ COMMITTED), as if a client had sent it.
--
-- Answers with an outcome and writes nothing (but for an old key that is forgotten), unless the outcome is 'new'. What shows only after something was written
-- is an error, which takes the writing back: ZL001 (no room any more), or a unique index by its name.
CREATE OR REPLACE FUNCTION create_instance(
    new jsonb, port_names text[], port_protocols text[], idempotency_key text, hash bytea, actor text, request text,
    at timestamptz, key_life interval
) RETURNS TABLE (outcome text, earlier_operation uuid, instance_limit integer)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    order_ instances;
    operation uuid := (new->>'operation_id')::uuid;
    claim record;
    limit_ integer;
    chosen record;
    ports integer[];
    fresh integer := 0;
    wanted integer := cardinality(port_names);
    done integer;
    stage text;
    -- Room that was kept while the customer paid.
    kept capacity_reservations;
BEGIN
    order_ := jsonb_populate_record(NULL::instances, new);

    claim := claim_idempotency_key(order_.customer_id, idempotency_key, hash, at, key_life);
    IF claim.outcome <> 'new' THEN
        RETURN QUERY SELECT claim.outcome, claim.earlier_operation, NULL::integer;
        RETURN;
    END IF;

    -- The account, locked, so that two requests cannot both be the last one allowed.
    SELECT c.instance_limit INTO limit_ FROM customers c
    WHERE c.id = order_.customer_id AND c.disabled_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'no_account', NULL::uuid, NULL::integer;
        RETURN;
    END IF;
    SELECT count(*) INTO done FROM instances i
    WHERE i.customer_id = order_.customer_id AND i.lifecycle IN ('provisioning', 'active', 'deleting');
    IF done >= limit_ THEN
        RETURN QUERY SELECT 'limit_reached', NULL::uuid, limit_;
        RETURN;
    END IF;

    SELECT e.stage INTO stage FROM billing_enforcement_states e WHERE e.customer_id = order_.customer_id;
    IF stage IN ('final_warning', 'suspended') THEN
        RETURN QUERY SELECT 'payment_open', NULL::uuid, NULL::integer;
        RETURN;
    END IF;
    IF instances_beyond(order_.customer_id, order_.plan, true) > 0 THEN
        RETURN QUERY SELECT 'not_entitled', NULL::uuid, NULL::integer;
        RETURN;
    END IF;
    SELECT * INTO kept FROM capacity_reservations r
    WHERE r.customer_id = order_.customer_id AND r.plan = order_.plan AND r.released_at IS NULL
    ORDER BY r.created_at, r.id LIMIT 1 FOR UPDATE SKIP LOCKED;

    -- Best fit: the fullest node that still has room, so that large instances find room later. Of its free ports those
    -- that were never handed out come first, then those that were free longest. Those that another transaction is taking
    -- are passed over, not waited for.
    FOR chosen IN
        SELECT n.id, n.last_fresh_port FROM nodes n
        WHERE NOT n.cordoned AND (n.id = kept.node_id
            OR (n.memory_mib - n.used_memory_mib >= order_.memory_mib
                AND n.cpu_percent - n.used_cpu_percent >= order_.cpu_percent
                AND n.disk_mib - n.used_disk_mib >= order_.disk_mib))
        ORDER BY n.id IS DISTINCT FROM kept.node_id, n.memory_mib - n.used_memory_mib, n.id
    LOOP
        SELECT array_agg(free.port ORDER BY free.port), max(free.port) INTO ports, fresh FROM (
            SELECT p.port FROM port_allocations p
            WHERE p.node_id = chosen.id AND p.instance_id IS NULL AND p.released_at IS NULL
              AND p.port > chosen.last_fresh_port
            ORDER BY p.port LIMIT wanted FOR UPDATE SKIP LOCKED
        ) free;
        EXIT WHEN cardinality(ports) = wanted;
        SELECT array_agg(free.port), 0 INTO ports, fresh FROM (
            SELECT p.port FROM port_allocations p WHERE p.node_id = chosen.id AND p.instance_id IS NULL
            ORDER BY p.released_at NULLS FIRST, p.port LIMIT wanted FOR UPDATE SKIP LOCKED
        ) free;
        EXIT WHEN cardinality(ports) = wanted;
    END LOOP;
    IF cardinality(ports) IS DISTINCT FROM wanted THEN
        RETURN QUERY SELECT 'no_capacity', NULL::uuid, NULL::integer;
        RETURN;
    END IF;

    INSERT INTO instances (id, customer_id, name, hostname, kind, blueprint, blueprint_version, variant, version, plan,
        memory_mib, cpu_percent, disk_mib, node_id, eula_accepted_at, created_at, updated_at)
    VALUES (order_.id, order_.customer_id, order_.name, order_.hostname, order_.kind, order_.blueprint,
        order_.blueprint_version, order_.variant, order_.version, order_.plan, order_.memory_mib, order_.cpu_percent,
        order_.disk_mib, chosen.id, order_.eula_accepted_at, at, at);
    INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
    VALUES (operation, order_.id, order_.customer_id, 'create', at);
    INSERT INTO idempotency_keys (customer_id, key, body_hash, operation_id, created_at)
    VALUES (order_.customer_id, idempotency_key, hash, operation, at);
    INSERT INTO audit_log (actor, action, customer_id, instance_id, request_id, detail)
    VALUES (create_instance.actor, 'instance.create', order_.customer_id, order_.id, request,
        jsonb_build_object('operation', operation, 'plan', order_.plan));
    UPDATE port_allocations p SET instance_id = order_.id, name = taking.name, protocol = taking.protocol
    FROM unnest(ports, port_names, port_protocols) AS taking (port, name, protocol)
    WHERE p.node_id = chosen.id AND p.port = taking.port;

    IF kept.id IS NOT NULL THEN
        UPDATE capacity_reservations r SET released_at = at WHERE r.id = kept.id;
        UPDATE nodes n SET used_memory_mib = n.used_memory_mib - kept.memory_mib,
            used_cpu_percent = n.used_cpu_percent - kept.cpu_percent, used_disk_mib = n.used_disk_mib - kept.disk_mib
        WHERE n.id = kept.node_id;
    END IF;
    -- Last, since all creates on the node meet here. Somebody may have taken the room since the look.
    UPDATE nodes n SET used_memory_mib = n.used_memory_mib + order_.memory_mib,
        used_cpu_percent = n.used_cpu_percent + order_.cpu_percent, used_disk_mib = n.used_disk_mib + order_.disk_mib,
        last_fresh_port = greatest(n.last_fresh_port, fresh)
    WHERE n.id = chosen.id AND NOT n.cordoned AND n.used_memory_mib + order_.memory_mib <= n.memory_mib
      AND n.used_cpu_percent + order_.cpu_percent <= n.cpu_percent
      AND n.used_disk_mib + order_.disk_mib <= n.disk_mib;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no room' USING ERRCODE = 'ZL001';
    END IF;
    RETURN QUERY SELECT 'new', NULL::uuid, NULL::integer;
END $$;

REVOKE EXECUTE ON FUNCTION create_instance FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_instance TO zlh_api;
