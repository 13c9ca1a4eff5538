-- Puts every live server of a suspended customer on the billing hold and asks it to stop. What is wanted of each stays written
-- down, so that paying starts again what ran. billing-worker's role can neither write a hold nor ask for power; with the owner's
-- rights of this function it can do this much, to a customer whose stage says so, and nothing else.
-- May be called again: what is on hold already is asked to stop only if it was seen running. How many servers it changed.
CREATE OR REPLACE FUNCTION suspend_for_payment(customer uuid, why text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    actor constant text := 'billing-worker';
    it record;
    changed integer := 0;
BEGIN
    PERFORM FROM billing_enforcement_states s WHERE s.customer_id = customer AND s.stage = 'suspended' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'customer % is not suspended', customer USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR it IN
        SELECT i.id, i.lifecycle, i.observed_power,
               EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.reason = 'billing' AND h.lifted_at IS NULL) AS held,
               EXISTS (SELECT FROM power_requests p WHERE p.instance_id = i.id AND p.action = 'stop') AS asked
        FROM instances i WHERE i.customer_id = customer AND i.lifecycle IN ('provisioning', 'active') ORDER BY i.id
    LOOP
        CONTINUE WHEN it.held AND (it.asked OR it.lifecycle <> 'active' OR it.observed_power NOT IN ('starting', 'running'));
        IF NOT it.held THEN
            INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
            VALUES (gen_random_uuid(), it.id, 'billing', why, actor, clock_timestamp());
            INSERT INTO audit_log (actor, action, customer_id, instance_id, detail)
            VALUES (actor, 'instance.hold_placed', customer, it.id,
                jsonb_build_object('reason', 'billing', 'note', why, 'stop', true));
        END IF;
        IF it.lifecycle = 'active' THEN
            PERFORM ask_for_power(it.id, 'stop', actor);
        END IF;
        changed := changed + 1;
    END LOOP;
    RETURN changed;
END $$;

REVOKE EXECUTE ON FUNCTION suspend_for_payment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION suspend_for_payment TO zlh_billing;
