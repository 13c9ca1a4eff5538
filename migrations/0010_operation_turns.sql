-- When each customer was last served: workers go round among the customers that wait, whoever asked for more.
CREATE TABLE operation_turns (
    customer_id uuid NOT NULL REFERENCES customers (id),
    slot        text NOT NULL CHECK (slot IN ('short', 'long')),
    served_at   timestamptz NOT NULL,
    PRIMARY KEY (customer_id, slot)
);
GRANT SELECT, INSERT, UPDATE ON operation_turns TO zlh_provision;
