-- A verification that nobody asked for: the worker's role cannot INSERT operations, since that could be a delete. Runs
-- with its owner's rights and can make nothing but a 'verify' of an available backup of an idle, active instance.
-- False when there is none, or the instance is busy or on hold. The search path names `pg_temp` last: unnamed it comes
-- first, and a caller's temporary tables would stand in for ours, with their owner's code run as ours.
CREATE OR REPLACE FUNCTION request_verification(operation uuid, backup uuid, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO operations (id, instance_id, customer_id, kind, backup_id, created_at)
    SELECT operation, b.instance_id, b.customer_id, 'verify', b.id, at
    FROM backups b JOIN instances i ON i.id = b.instance_id
    WHERE b.id = backup AND b.state = 'available' AND i.lifecycle = 'active'
      AND NOT EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL)
    FOR NO KEY UPDATE OF b
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

REVOKE EXECUTE ON FUNCTION request_verification FROM PUBLIC;
GRANT EXECUTE ON FUNCTION request_verification TO zlh_provision;
