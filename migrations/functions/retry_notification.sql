-- Has a notification sent now that waits or was given up, for an operator who has mended what was in its way. zpack-api cannot
-- UPDATE notifications, since that could change what is sent and to whom; with its owner's rights this does nothing else. The
-- search path names `pg_temp` last: unnamed it comes first, and a caller's temporary tables would stand in for ours.
-- Answers `waiting`, `sent` when there is nothing to do any more, or null when there is no such notification.
CREATE OR REPLACE FUNCTION retry_notification(notification uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    state_now text;
BEGIN
    SELECT state INTO state_now FROM notifications WHERE id = notification FOR UPDATE;
    IF state_now IS NULL OR state_now = 'sent' THEN
        RETURN state_now;
    END IF;
    -- One that is being sent at this moment is left to its sender.
    UPDATE notifications SET state = 'pending', attempts = 0, run_after = clock_timestamp(), blocked_since = NULL,
           expires_at = greatest(expires_at, clock_timestamp() + interval '72 hours')
    WHERE id = notification AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp());
    PERFORM pg_notify('zlh_outbox', '');
    RETURN 'waiting';
END $$;

REVOKE EXECUTE ON FUNCTION retry_notification FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retry_notification TO zlh_api;
