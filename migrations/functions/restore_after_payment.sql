-- Lifts the billing hold of a customer's servers, and that one only, and starts again what is wanted running, unless another
-- hold is on it or an operation is under way (then the start is asked for once that has ended: this may be called again). Of a
-- customer who is suspended nothing is lifted. How many servers it changed.
CREATE OR REPLACE FUNCTION restore_after_payment(customer uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    actor constant text := 'billing-worker';
    it record;
    changed integer := 0;
BEGIN
    PERFORM FROM billing_enforcement_states s WHERE s.customer_id = customer AND s.stage <> 'suspended' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'customer % is suspended, or was never looked at', customer USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR it IN
        UPDATE holds h SET lifted_at = clock_timestamp() FROM instances i
        WHERE h.reason = 'billing' AND h.lifted_at IS NULL AND i.id = h.instance_id AND i.customer_id = customer
        RETURNING i.id
    LOOP
        INSERT INTO audit_log (actor, action, customer_id, instance_id, detail)
        VALUES (actor, 'instance.hold_lifted', customer, it.id, jsonb_build_object('reason', 'billing'));
        changed := changed + 1;
    END LOOP;
    FOR it IN
        SELECT i.id FROM instances i
        LEFT JOIN instance_status s ON s.instance_id = i.id
        LEFT JOIN power_requests p ON p.instance_id = i.id
        WHERE i.customer_id = customer AND i.lifecycle = 'active' AND i.desired_power = 'running'
          -- It was stopped by a hold, or is about to be.
          AND ((s.stop_reason = 'hold' AND p.instance_id IS NULL) OR (p.action = 'stop' AND s.stop_requested_as = 'hold')
               OR (p.instance_id IS NULL AND s.stop_requested_as = 'hold' AND i.observed_power IN ('stopping', 'stopped')))
          AND NOT EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL)
          AND NOT EXISTS (SELECT FROM operations o WHERE o.instance_id = i.id
                          AND o.state IN ('queued', 'running', 'undoing', 'stuck') AND o.kind <> 'verify')
        ORDER BY i.id
    LOOP
        PERFORM ask_for_power(it.id, 'start', actor);
        INSERT INTO audit_log (actor, action, customer_id, instance_id, detail)
        VALUES (actor, 'instance.power', customer, it.id, jsonb_build_object('action', 'start'));
        changed := changed + 1;
    END LOOP;
    RETURN changed;
END $$;

REVOKE EXECUTE ON FUNCTION restore_after_payment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_after_payment TO zlh_billing;
