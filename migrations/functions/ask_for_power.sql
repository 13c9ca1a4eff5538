-- Asks that a server stops because of a hold, or starts after one: in the place of whatever was asked for before. For the
-- functions of billing, which run with its owner's rights; nobody else may call it.
CREATE OR REPLACE FUNCTION ask_for_power(instance uuid, wanted text, actor text) RETURNS void
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF wanted NOT IN ('start', 'stop') THEN
        RAISE EXCEPTION '% is not asked for because of a payment', wanted USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO instance_status AS t (instance_id, stop_requested_by, stop_requested_as)
    VALUES (instance, CASE WHEN wanted = 'stop' THEN actor END, CASE WHEN wanted = 'stop' THEN 'hold' END)
    ON CONFLICT (instance_id) DO UPDATE SET
        stop_requested_by = excluded.stop_requested_by, stop_requested_as = excluded.stop_requested_as,
        stopped_at = CASE WHEN wanted = 'stop' THEN t.stopped_at END,
        stop_reason = CASE WHEN wanted = 'stop' THEN t.stop_reason END,
        stopped_by = CASE WHEN wanted = 'stop' THEN t.stopped_by END,
        stop_message = CASE WHEN wanted = 'stop' THEN t.stop_message END;
    INSERT INTO power_requests AS p (instance_id, id, action, requested_by, lease_term)
    VALUES (instance, gen_random_uuid(), wanted, actor, 1)
    ON CONFLICT (instance_id) DO UPDATE SET
        id = excluded.id, action = excluded.action, requested_by = excluded.requested_by,
        requested_at = excluded.requested_at, attempts = 0, run_after = excluded.run_after,
        lease_owner = NULL, lease_term = p.lease_term + 1, lease_expires_at = NULL;
END $$;

REVOKE EXECUTE ON FUNCTION ask_for_power FROM PUBLIC;
