-- Takes an idempotency key until the end of the transaction, or says what it names already. Whoever has taken it inserts
-- its row once there is an operation for it to name. Outcomes:
--   new          nobody used it, or so long ago that it is forgotten: its old row is gone
--   replayed     it names this operation, asked for with the same body
--   key_reused   it names an operation that was asked for with another body
--   in_progress  another transaction has it, and has not committed
CREATE OR REPLACE FUNCTION claim_idempotency_key(
    customer uuid, wanted text, hash bytea, at timestamptz, life interval, OUT outcome text, OUT earlier_operation uuid
) LANGUAGE plpgsql VOLATILE SECURITY INVOKER AS $$
DECLARE
    earlier idempotency_keys;
    got boolean;
BEGIN
    got := pg_try_advisory_xact_lock(hashtextextended('idempotency:' || customer || ':' || wanted, 0));
    -- A statement of its own, after the lock: whoever had it may have committed by now.
    SELECT * INTO earlier FROM idempotency_keys k WHERE k.customer_id = customer AND k.key = wanted;
    IF FOUND AND earlier.created_at >= at - life THEN
        IF earlier.body_hash = hash THEN
            outcome := 'replayed';
            earlier_operation := earlier.operation_id;
        ELSE
            outcome := 'key_reused';
        END IF;
    ELSIF got THEN
        IF FOUND THEN
            DELETE FROM idempotency_keys k WHERE k.customer_id = customer AND k.key = wanted;
        END IF;
        outcome := 'new';
    ELSE
        outcome := 'in_progress';
    END IF;
END $$;

REVOKE EXECUTE ON FUNCTION claim_idempotency_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_idempotency_key TO zlh_api;
