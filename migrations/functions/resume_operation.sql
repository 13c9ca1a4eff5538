-- Lets a stuck operation go on, in the state that its saga says: `running` or `undoing`. zpack-api cannot UPDATE operations,
-- since that could end or take over what a worker does; with its owner's rights this does nothing else, and only to a
-- stuck one. The search path names `pg_temp` last: unnamed it comes first, and a caller's temporary tables would stand in
-- for ours. False when the operation is not stuck.
CREATE OR REPLACE FUNCTION resume_operation(operation uuid, next_state text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF next_state NOT IN ('running', 'undoing') THEN
        RAISE EXCEPTION 'an operation does not go on as %', next_state;
    END IF;
    UPDATE operations SET state = next_state, interruptions = 0, failed_attempts = 0, enqueued_at = NULL,
           run_after = clock_timestamp()
    WHERE id = operation AND state = 'stuck';
    RETURN FOUND;
END $$;

REVOKE EXECUTE ON FUNCTION resume_operation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resume_operation TO zlh_api, zlh_provision;
