-- Gives up an operation that changes nothing of its server: a backup or a verification. One that nobody works on ends here;
-- of one that a worker has it is noted, and the worker turns round. zpack-api cannot UPDATE operations, since that could end
-- or take over what a worker does; with its owner's rights this does nothing else. The search path names `pg_temp` last:
-- unnamed it comes first, and a caller's temporary tables would stand in for ours.
-- Answers `ended`, `requested`, or `refused` when there is nothing to give up.
CREATE OR REPLACE FUNCTION cancel_operation(operation uuid, code text, message text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    of_backup uuid;
BEGIN
    UPDATE operations SET state = 'failed', failure_code = code, failure_message = message,
           cancel_requested_at = clock_timestamp(), finished_at = clock_timestamp()
    WHERE id = operation AND kind IN ('backup', 'verify') AND state = 'queued'
    RETURNING backup_id INTO of_backup;
    IF FOUND THEN
        UPDATE backups SET state = 'failed', finished_at = clock_timestamp() WHERE id = of_backup AND state = 'running';
        RETURN 'ended';
    END IF;
    UPDATE operations SET cancel_requested_at = COALESCE(cancel_requested_at, clock_timestamp())
    WHERE id = operation AND kind IN ('backup', 'verify') AND state IN ('running', 'undoing');
    RETURN CASE WHEN FOUND THEN 'requested' ELSE 'refused' END;
END $$;

REVOKE EXECUTE ON FUNCTION cancel_operation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cancel_operation TO zlh_api;
