-- How many of a customer's servers, with one of `extra_plan` if that is given, are beyond what operators granted and, if asked
-- for, what the subscription of record has. A grant of any plan covers whatever nothing else does. One that is being deleted
-- needs nothing any more. `without` is a server that is not counted: it is to have another plan.
CREATE OR REPLACE FUNCTION instances_beyond(
    customer uuid, extra_plan text, with_subscription boolean, without uuid DEFAULT NULL
) RETURNS integer
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH grants AS (
        SELECT g.plan, g.quantity FROM entitlement_grants g
        WHERE g.customer_id = customer AND g.revoked_at IS NULL
          AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())
    ), wanted AS (
        SELECT p.plan, count(*) AS n FROM (
            SELECT i.plan FROM instances i
            WHERE i.customer_id = customer AND i.lifecycle IN ('provisioning', 'active') AND i.id IS DISTINCT FROM without
            UNION ALL SELECT extra_plan WHERE extra_plan IS NOT NULL
        ) p GROUP BY p.plan
    ), had AS (
        SELECT p.plan, sum(p.quantity) AS n FROM (
            SELECT plan, quantity FROM grants WHERE plan IS NOT NULL
            UNION ALL
            SELECT i.plan, i.quantity FROM subscriptions s JOIN subscription_items i ON i.subscription_id = s.id
            WHERE with_subscription AND s.customer_id = customer AND s.of_record AND s.entitles AND i.plan IS NOT NULL
              -- Of a purchase whose money is still on its way nothing is had, whatever Stripe calls the subscription meanwhile.
              AND NOT EXISTS (SELECT FROM checkouts c WHERE c.customer_id = customer AND c.state = 'pending')
        ) p GROUP BY p.plan
    )
    SELECT greatest(0,
        COALESCE((SELECT sum(greatest(0, w.n - COALESCE(h.n, 0))) FROM wanted w LEFT JOIN had h ON h.plan = w.plan), 0)
        - COALESCE((SELECT sum(quantity) FROM grants WHERE plan IS NULL), 0))::integer
$$;

REVOKE EXECUTE ON FUNCTION instances_beyond FROM PUBLIC;
GRANT EXECUTE ON FUNCTION instances_beyond TO zlh_api, zlh_billing;
