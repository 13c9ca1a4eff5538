-- What the key or schedule is called that did something, for people; NULL of every other actor, and of one that is gone.
-- With its owner's rights: whoever reads an instance need not read keys.
CREATE OR REPLACE FUNCTION actor_name(actor text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE split_part(actor, ':', 1)
        WHEN 'key' THEN (SELECT k.name FROM api_keys k WHERE k.id = split_part(actor, ':', 2)::uuid)
        WHEN 'schedule' THEN (SELECT s.name FROM schedules s WHERE s.id = split_part(actor, ':', 2)::uuid)
    END
$$;
REVOKE EXECUTE ON FUNCTION actor_name FROM PUBLIC;
GRANT EXECUTE ON FUNCTION actor_name TO zlh_api, zlh_provision;
