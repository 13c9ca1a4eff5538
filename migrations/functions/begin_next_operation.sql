-- Begins the restore that was asked for together with a backup, in the transaction in which that backup succeeds. The worker's
-- role cannot INSERT operations, since that could be a delete. Runs with its owner's rights and can make nothing but the
-- restore that the succeeded operation names. The search path names `pg_temp` last: unnamed it comes first, and a caller's
-- temporary tables would stand in for ours.
-- NULL when nothing was to follow, or its backup is not available any more.
CREATE OR REPLACE FUNCTION begin_next_operation(operation uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    next_ uuid;
BEGIN
    INSERT INTO operations (id, instance_id, customer_id, kind, backup_id, created_at)
    SELECT o.next_operation_id, o.instance_id, o.customer_id, 'restore', o.then_restore_id, clock_timestamp()
    FROM operations o JOIN backups b ON b.id = o.then_restore_id AND b.state = 'available'
    WHERE o.id = operation AND o.state = 'succeeded'
    ON CONFLICT DO NOTHING
    RETURNING id INTO next_;
    IF next_ IS NOT NULL THEN
        PERFORM pg_notify('zlh_events', json_build_object(
            'customer_id', o.customer_id, 'instance_id', o.instance_id, 'operation_id', o.id)::text)
        FROM operations o WHERE o.id = next_;
    END IF;
    RETURN next_;
END $$;

REVOKE EXECUTE ON FUNCTION begin_next_operation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_next_operation TO zlh_provision;
