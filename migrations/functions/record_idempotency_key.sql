-- Lets a key that this transaction has claimed name the operation; what it named before is forgotten.
CREATE OR REPLACE FUNCTION record_idempotency_key(
    customer uuid, wanted text, hash bytea, operation uuid, at timestamptz
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM idempotency_keys k WHERE k.customer_id = customer AND k.key = wanted;
    INSERT INTO idempotency_keys (customer_id, key, body_hash, operation_id, created_at)
    VALUES (customer, wanted, hash, operation, at);
END $$;

REVOKE EXECUTE ON FUNCTION record_idempotency_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_idempotency_key TO zlh_api;
